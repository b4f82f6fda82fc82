import { describe, test } from 'vitest'
import { RedisStore } from '../../src/store/redis/redis-store.js'
import { storeConformance } from '../../src/testing/store-conformance.js'
import type { Library } from './libraries.js'

const TIMES = { claimWindowMs: 400, checkEveryMs: 100, waiterLifeMs: 1_500 }

let opened = 0

/**
 * The engine's contract over callers' clients of these libraries: two stores, each with a client of its own.
 *
 * @param where known when a case runs
 */
export function testStores<Where>(libraries: readonly Library<Where>[], where: () => Where, isCluster = false): void {
  describe.each(libraries)('$name', ({ connect }) => {
    const open = async () => {
      opened += 1
      const prefix = `case${opened}:`
      const clients = await Promise.all([connect(where()), connect(where())])
      const [store, peer] = clients.map(({ client }) => new RedisStore({ client, prefix, ...TIMES })) as [RedisStore, RedisStore]
      const close = async () => {
        await Promise.all([store.close(), peer.close()])
        await Promise.all(clients.map(({ dispose }) => dispose()))
      }
      return { store, peer, close }
    }
    const cases = storeConformance({ ...TIMES, ...(isCluster ? { hintsOnly: true } : { seesWhoIsGone: true }), open })
    for (const one of cases) test(one.name, ({ skip }) => (one.skip === undefined ? one.run() : skip(one.skip)))
  })
}
