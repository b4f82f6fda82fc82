import { test } from 'vitest'
import { createOwnedClient } from '../../src/clients/owned.js'
import { QuorumStore } from '../../src/store/quorum/quorum-store.js'
import { storeConformance } from '../../src/testing/store-conformance.js'
import { useRedis } from '../support/redis.js'

/** The engine's contract on three independent servers: two stores, as two processes have them, on one prefix for each case. */

const TIMES = { claimWindowMs: 400, checkEveryMs: 100, waiterLifeMs: 1_500 }

const servers = [useRedis(), useRedis(), useRedis()]
let opened = 0

function openStore(prefix: string): QuorumStore {
  const nodes = servers.map(({ host, port }) => {
    const describe = `${host}:${port}`
    return { client: createOwnedClient({ options: { socket: { host, port } }, describe }), describe }
  })
  return new QuorumStore({ nodes, prefix, ...TIMES })
}

const suite = storeConformance({
  ...TIMES,
  seesWhoIsGone: true,
  asksRegularly: true,
  refusesLimits: 'several independent servers would grant more permits than there are',
  async open() {
    opened += 1
    const prefix = `case${opened}:`
    const [store, peer] = [openStore(prefix), openStore(prefix)]
    // The servers are new to this prefix: that one of them is behind while it is looked at belongs into other tests.
    for (const one of [store, peer]) await one.query({ name: 'warm' })
    return {
      store,
      peer,
      async close() {
        await store.close()
        await peer.close()
      },
    }
  },
})

for (const one of suite) {
  test(one.name, async (context) => {
    if (one.skip !== undefined) context.skip(one.skip)
    await one.run()
  })
}
