/** Five independent primaries, of which fewer than a majority fail at a time. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../../support/random.mjs'
import { CUT, EMPTIED, GatedServer, type Harm, KEEPS_DATA, KILLED, SILENCED, STOPPED } from './gated-server.js'
import type { Fault, Site, Topology } from './topology.js'

interface QuorumSite extends Site {
  /** Four that keep their data, and one behind them that forgets. */
  readonly keepers: readonly GatedServer[]
  readonly forgetter: GatedServer
}

const KEEPERS = 4

async function startSite(): Promise<QuorumSite> {
  const [forgetter, ...keepers] = await Promise.all([
    GatedServer.start(),
    ...Array.from({ length: KEEPERS }, () => GatedServer.start(KEEPS_DATA)),
  ])
  const all = [...keepers, forgetter]
  return {
    keepers,
    forgetter,
    source: { options: { nodes: all.map(({ proxy }) => proxy.port) } },
    settled: async () => {},
    // What each server knows of itself as a voter.
    ownKeys: ['__halocksmith:voter'],
    primaries: async () => all.map(({ server }) => server),
    close: async () => void (await Promise.all(all.map((gated) => gated.close()))),
  }
}

/** One fails, or two at once, each in its own way. One that has come back empty does not vote for a while: then two are one too many. */
function minority(what: string, ...harms: readonly Harm[]): Fault<QuorumSite> {
  return {
    what: `${what}: ${harms.map((harm) => harm.what).join(' and ')}`,
    async strike({ keepers }, random: Random) {
      const victims = random.shuffle(keepers)
      const overs = await Promise.all(harms.map((harm, i) => harm.do(victims[i] as GatedServer)))
      return async () => void (await Promise.all(overs.map((over) => over())))
    },
  }
}

/** Always the same one: it does not vote for the longest lease that it may have granted, and others must. */
const FORGETS: Fault<QuorumSite> = { what: `one of five ${EMPTIED.what}`, strike: ({ forgetter }) => EMPTIED.do(forgetter) }

/** Of the same: what it has granted since the snapshot is gone. */
const GOES_BACK: Fault<QuorumSite> = {
  what: 'one of five restarted with a snapshot that is a second old',
  async strike({ forgetter: { server } }) {
    await server.command('SAVE')
    await delay(1_000)
    await server.kill()
    return () => server.start()
  },
}

export const QUORUM: Topology<QuorumSite> = {
  name: 'a quorum of five',
  start: startSite,
  faults: [
    FORGETS,
    GOES_BACK,
    minority('one of five', KILLED),
    minority('one of five', STOPPED),
    minority('two of five', CUT, SILENCED),
    minority('two of five', KILLED, STOPPED),
  ],
  promises: { exclusive: true, because: 'any two majorities share a server that has forgotten nothing, or does not vote' },
  ttlMs: 3_000,
  recoverMs: 3_000,
}
