import { test } from 'vitest'
import { MemoryStore } from '../../src/memory.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { storeConformance } from '../../src/testing/store-conformance.js'
import { expectOptionalParts } from './optional-parts.js'

const TIMES = { claimWindowMs: 400, checkEveryMs: 100, waiterLifeMs: 1_500 }

const suite = storeConformance({
  ...TIMES,
  seesWhoIsGone: true,
  async open() {
    const clock = new FakeClock()
    const store = new MemoryStore({ ...TIMES, clock })
    return { store, clock, advance: (ms) => clock.advance(ms), close: () => store.close() }
  },
})

for (const one of suite) test(one.name, () => one.run())

test('it says what a store may leave out', () => expectOptionalParts(new MemoryStore()))
