import { expect } from 'vitest'
import type { FakeClock } from '../../src/testing/fake-clock.js'

/** The timer of a keeper may stand when the last lease has gone; it finds nothing then, and no other is set. */
export async function expectNoTimer(clock: FakeClock): Promise<void> {
  expect(clock.pending).toBeLessThanOrEqual(1)
  await clock.advance(60_000)
  expect(clock.pending).toBe(0)
}
