/** One server, which keeps its data through a restart, or does not. */

import { CUT, EMPTIED, GatedServer, type Harm, KEEPS_DATA, KILLED, SILENCED, STOPPED } from './gated-server.js'
import type { Fault, Site, Topology } from './topology.js'

interface SingleSite extends Site {
  readonly gated: GatedServer
}

async function startSite(args: readonly string[] = []): Promise<SingleSite> {
  const gated = await GatedServer.start(args)
  return {
    gated,
    source: { options: { nodes: [gated.proxy.port] } },
    settled: async () => {},
    primaries: async () => [gated.server],
    close: () => gated.close(),
  }
}

const fault = (harm: Harm): Fault<SingleSite> => ({ what: `the server ${harm.what}`, strike: ({ gated }) => harm.do(gated) })

export const SINGLE_THAT_KEEPS: Topology<SingleSite> = {
  name: 'one server that keeps its data',
  start: () => startSite(KEEPS_DATA),
  faults: [KILLED, STOPPED, CUT, SILENCED].map(fault),
  promises: { exclusive: true, because: 'what was granted is still known after a restart' },
  ttlMs: 2_000,
  recoverMs: 5_000,
}

export const SINGLE_THAT_FORGETS: Topology<SingleSite> = {
  name: 'one server that forgets',
  start: () => startSite(),
  faults: [EMPTIED, KILLED, STOPPED, CUT].map(fault),
  promises: { exclusive: false, because: 'a server that has forgotten a lock grants it again while its holder still counts on its lease' },
  ttlMs: 2_000,
  recoverMs: 5_000,
}
