import { afterAll, beforeAll, test } from 'vitest'
import { type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import { createOwnedClient } from '../../src/clients/owned.js'
import { RedisStore } from '../../src/store/redis/redis-store.js'
import { storeConformance } from '../../src/testing/store-conformance.js'

const TIMES = { claimWindowMs: 400, checkEveryMs: 100, waiterLifeMs: 1_500 }

let server: RedisServer
let opened = 0

beforeAll(async () => {
  server = await startRedis()
})

afterAll(() => server.stop())

const suite = storeConformance({
  ...TIMES,
  seesWhoIsGone: true,
  async open() {
    opened += 1
    const prefix = `case${opened}:`
    const stores = [0, 1].map(() => {
      const options = { socket: { host: server.host, port: server.port } }
      return new RedisStore({ client: createOwnedClient({ options, describe: server.url }), prefix, ...TIMES })
    })
    const [store, peer] = stores as [RedisStore, RedisStore]
    return {
      store,
      peer,
      async close() {
        for (const one of stores) await one.close()
      },
    }
  },
})

for (const one of suite) test(one.name, () => one.run())
