import { describe, test } from 'vitest'
import type { RedisClient } from '../../src/clients/client.js'
import { createOwnedClusterClient } from '../../src/clients/owned-cluster.js'
import { RedisStore } from '../../src/store/redis/redis-store.js'
import { storeConformance } from '../../src/testing/store-conformance.js'
import { useCluster } from '../support/cluster.js'
import { isLastToken, type Leftover } from '../support/redis.js'

/** The engine's contract on a Cluster: over our own connections, and over a caller's, of which one can hear sharded messages and one can't. */

const TIMES = { claimWindowMs: 400, checkEveryMs: 100, waiterLifeMs: 1_500 }

const cluster = useCluster()
let opened = 0

/** As in `redis-store.test.ts`. */
function isTrace(left: Leftover): boolean {
  const known = left.fields.every((field) => ['token', 'gone', 'ends', 'span'].includes(field) || /^\w+\.\d+$/.test(field))
  return isLastToken(left) || (left.type === 'hash' && left.ttlMs > 0 && left.fields.includes('gone') && known)
}

function suite(makeClient: () => RedisClient | Promise<RedisClient>) {
  return storeConformance({
    ...TIMES,
    hintsOnly: true,
    async open() {
      opened += 1
      const prefix = `case${opened}:`
      const [store, peer] = [
        new RedisStore({ client: await makeClient(), prefix, ...TIMES }),
        new RedisStore({ client: await makeClient(), prefix, ...TIMES }),
      ]
      return {
        store,
        peer,
        async close() {
          await store.close()
          await peer.close()
          await cluster.expectEmpty(prefix, isTrace)
        },
      }
    },
  })
}

const ownConnections = () => createOwnedClusterClient({ seeds: cluster.seeds, options: {}, describe: 'the cluster' })

describe('our own connections', () => {
  for (const one of suite(ownConnections)) test(one.name, ({ skip }) => (one.skip === undefined ? one.run() : skip(one.skip)))
})

/** A client without sharded messages, as some libraries are. */
function withoutSharded(): RedisClient {
  return new Proxy(ownConnections(), {
    get(client, name) {
      if (name === 'subscribeSharded') return undefined
      const value = Reflect.get(client, name, client) as unknown
      return typeof value === 'function' ? value.bind(client) : value
    },
  })
}

describe('without sharded messages', () => {
  for (const one of suite(withoutSharded)) test(one.name, ({ skip }) => (one.skip === undefined ? one.run() : skip(one.skip)))
})
