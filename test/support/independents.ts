import { inject, onTestFinished } from 'vitest'
import { type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { type RedisProxy, startProxy } from './proxy.js'

/** Several servers that know nothing of each other, for one test, and locksmiths that lock on all of them. */
export interface Independents {
  readonly servers: readonly RedisServer[]
  /** `host:port` of each. */
  readonly nodes: string[]
  /** A locksmith on all of them, or on others in their place; closed when the test ends. */
  make(options?: LocksmithOptions): Locksmith
  /** A network before each server; the second value makes locksmiths that use it. */
  proxied(): Promise<{ proxies: RedisProxy[]; nodes: string[] }>
}

/** Starts them, and stops them when the test ends. Skips the test where there is no server program. */
export async function startIndependents(count: number, skip: (reason: string) => never): Promise<Independents> {
  const redis = inject('redisProgram')
  if (redis.path === null) return skip(redis.reason)
  const servers = await Promise.all(Array.from({ length: count }, () => startRedis({ redis })))
  const open: Locksmith[] = []
  onTestFinished(async () => {
    for (const server of servers) server.resume()
    await Promise.all(open.map((locksmith) => locksmith.close()))
    await Promise.all(servers.map((server) => server.stop()))
  })
  const nodes = servers.map(({ host, port }) => `${host}:${port}`)
  return {
    servers,
    nodes,
    make(options = {}) {
      const locksmith = createLocksmith({ nodes, ...options })
      open.push(locksmith)
      return locksmith
    },
    async proxied() {
      const proxies = await Promise.all(servers.map(({ port }) => startProxy({ port })))
      return { proxies, nodes: proxies.map(({ host, port }) => `${host}:${port}`) }
    },
  }
}
