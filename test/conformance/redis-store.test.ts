import { describe, test } from 'vitest'
import { createOwnedClient } from '../../src/clients/owned.js'
import { RedisStore } from '../../src/store/redis/redis-store.js'
import { storeConformance } from '../../src/testing/store-conformance.js'
import { MODE } from '../support/mode.mjs'
import { isLastToken, type Leftover, useRedis } from '../support/redis.js'
import { expectOptionalParts } from './optional-parts.js'

/**
 * The engine's contract on a real server: two stores, as two processes have them, on one prefix for each case; with many operations in a call,
 * and with one.
 */

const TIMES = { claimWindowMs: 400, checkEveryMs: 100, waiterLifeMs: 1_500 }

const redis = useRedis()
let opened = 0

function openStore(prefix: string, batchLimit = MODE.batchLimit as number | undefined): RedisStore {
  const client = createOwnedClient({ options: { socket: { host: redis.host, port: redis.port } }, describe: redis.url })
  return new RedisStore({ client, prefix, batchLimit, ...TIMES })
}

/** A free name leaves its last token, and for some time the ids that must not be granted. */
function isTrace(left: Leftover): boolean {
  const known = left.fields.every((field) => ['token', 'gone', 'ends', 'span'].includes(field) || /^\w+\.\d+$/.test(field))
  return isLastToken(left) || (left.type === 'hash' && left.ttlMs > 0 && left.fields.includes('gone') && known)
}

function suite(batchLimit?: number) {
  return storeConformance({
    ...TIMES,
    seesWhoIsGone: true,
    async open() {
      opened += 1
      const prefix = `case${opened}:`
      const [store, peer] = [openStore(prefix, batchLimit), openStore(prefix, batchLimit)]
      return {
        store,
        peer,
        async close() {
          await store.close()
          await peer.close()
          await redis.expectEmpty(prefix, isTrace)
        },
      }
    },
  })
}

for (const one of suite()) test(one.name, () => one.run())

describe('each operation in a call of its own', () => {
  for (const one of suite(1)) test(one.name, () => one.run())
})

test('it says what a store may leave out', async () => {
  const store = openStore('parts:')
  await expectOptionalParts(store)
  await store.close()
  await redis.expectEmpty('parts:', isLastToken)
})
