import { AssertionError } from 'node:assert'
import { expect, test } from 'vitest'
import { MemoryStore } from '../../src/memory.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { storeConformance } from '../../src/testing/store-conformance.js'
import { BROKEN_STORES } from './broken-stores.js'
import { FaithfulStore, type StoreClass } from './faithful-store.js'

const TIMES = { claimWindowMs: 400, checkEveryMs: 100, waiterLifeMs: 1_500 }

function suiteOf(StoreUnderTest: StoreClass) {
  return storeConformance({
    ...TIMES,
    seesWhoIsGone: true,
    async open() {
      const clock = new FakeClock()
      const store = new StoreUnderTest(new MemoryStore({ ...TIMES, clock }), clock)
      return { store, clock, advance: (ms) => clock.advance(ms), close: () => store.close() }
    },
  })
}

test('the suite has nothing against a store without a fault', async () => {
  for (const one of suiteOf(FaithfulStore)) await one.run()
})

test.each(BROKEN_STORES.map(([store, noticedBy]) => [store.name, noticedBy, store] as const))('%s: %s', async (_, noticedBy, store) => {
  const [one, ...others] = suiteOf(store).filter(({ name }) => name.startsWith(noticedBy))
  expect(others).toEqual([])
  await expect(one?.run()).rejects.toThrow(AssertionError)
})
