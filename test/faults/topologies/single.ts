/** One server behind a proxy, which keeps its data through a restart, or does not. */

import { type RedisServer, startRedis } from '../../../scripts/redis-server.mjs'
import { onOwnPort } from '../../support/ports.js'
import { RedisProxy } from '../../support/proxy.js'
import type { Fault, Site, Topology } from './topology.js'

interface SingleSite extends Site {
  readonly server: RedisServer
  readonly proxy: RedisProxy
}

async function startSite(args: readonly string[] = []): Promise<SingleSite> {
  const server = await onOwnPort((port) => startRedis({ port, args }))
  const proxy = await onOwnPort(async (port) => {
    const before = new RedisProxy(server, port)
    await before.accept()
    return before
  })
  return {
    server,
    proxy,
    source: { options: { nodes: [proxy.port] } },
    settled: async () => {},
    primaries: async () => [server],
    async close() {
      proxy.close()
      server.resume()
      await server.stop()
    },
  }
}

const KILLED: Fault<SingleSite> = {
  what: 'the server is killed',
  async strike({ server }) {
    await server.kill()
    return () => server.start()
  },
}

const RESTARTED_EMPTY: Fault<SingleSite> = {
  what: 'the server is restarted without its data',
  async strike({ server }) {
    await server.restart()
    return () => {}
  },
}

const PAUSED: Fault<SingleSite> = {
  what: 'the server stands still',
  async strike({ server }) {
    await server.pause()
    return () => server.resume()
  },
}

const CUT: Fault<SingleSite> = {
  what: 'the server is cut off, and connections to it are refused',
  async strike({ proxy }) {
    proxy.refuse()
    proxy.cut()
    return () => proxy.accept()
  },
}

const SILENT: Fault<SingleSite> = {
  what: 'the server is cut off without a word',
  async strike({ proxy }) {
    proxy.blackHole()
    return () => proxy.heal('reset')
  },
}

export const SINGLE_THAT_KEEPS: Topology<SingleSite> = {
  name: 'one server that keeps its data',
  // It writes down each change before it answers.
  start: () => startSite(['--appendonly', 'yes', '--appendfsync', 'always']),
  faults: [KILLED, PAUSED, CUT, SILENT],
  promises: { exclusive: true, because: 'what was granted is still known after a restart' },
  ttlMs: 2_000,
  recoverMs: 5_000,
}

export const SINGLE_THAT_FORGETS: Topology<SingleSite> = {
  name: 'one server that forgets',
  start: () => startSite(),
  faults: [RESTARTED_EMPTY, KILLED, PAUSED, CUT],
  promises: { exclusive: false, because: 'a server that has forgotten a lock grants it again while its holder still counts on its lease' },
  ttlMs: 2_000,
  recoverMs: 5_000,
}
