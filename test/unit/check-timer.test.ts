import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CheckTimer } from '../../src/acquire/check-timer.js'
import { FakeClock } from '../../src/testing/fake-clock.js'

let clock: FakeClock
let asked: ('all' | 'one')[]
let check: CheckTimer

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  clock = new FakeClock()
  asked = []
  check = new CheckTimer(clock, (whom) => asked.push(whom))
})

afterEach(() => {
  vi.restoreAllMocks()
})

describe('the regular check', () => {
  test('asks for all, once', async () => {
    check.checkWithin(1_000)
    await clock.advance(899)
    expect(asked).toEqual([])
    await clock.advance(1)
    expect(asked).toEqual(['all'])
    await clock.advance(10_000)
    expect(asked).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  test.each([
    [900, 0, 720],
    [900, 0.999, 899.82],
    // Of longer times, the last multiple of 50 ms before that.
    [1_000, 0, 800],
    [1_000, 0.999, 950],
    [2_000, 0.62, 1_800],
  ])('comes between 80 and 100 %% of its time: %d ms, random %d', async (delayMs, random, atMs) => {
    vi.mocked(Math.random).mockReturnValue(random)
    check.checkWithin(delayMs)
    await clock.advance(atMs - 0.1)
    expect(asked).toEqual([])
    await clock.advance(0.2)
    expect(asked).toHaveLength(1)
  })

  test('comes at the same moment for names whose claims came at different times', async () => {
    const moments: number[] = []
    for (const [i, random] of [0.41, 0.42, 0.45, 0.46].entries()) {
      await clock.advance(i)
      vi.mocked(Math.random).mockReturnValue(random)
      new CheckTimer(clock, () => moments.push(clock.now())).checkWithin(2_000)
    }
    await clock.advance(2_000)
    expect(moments).toHaveLength(4)
    expect(new Set(moments).size).toBe(1)
  })

  test('is not put off by a later one, and is brought forward by an earlier one', async () => {
    check.checkWithin(1_000)
    check.checkWithin(5_000)
    await clock.advance(900)
    expect(asked).toHaveLength(1)
    check.checkWithin(1_000)
    check.checkWithin(100)
    await clock.advance(90)
    expect(asked).toHaveLength(2)
    await clock.advance(10_000)
    expect(asked).toHaveLength(2)
  })
})

describe("the end of the holders' leases", () => {
  test('asks for one claim, whichever, a little later than the lease ends', async () => {
    check.expectLeaseEnd(clock.now() + 500)
    await clock.advance(500)
    expect(asked).toEqual([])
    await clock.advance(11)
    expect(asked).toEqual(['one'])
    expect(clock.pending).toBe(1)
  })

  test('the newest word of it counts', async () => {
    check.expectLeaseEnd(clock.now() + 500)
    check.expectLeaseEnd(clock.now() + 2_000)
    await clock.advance(1_999)
    expect(asked).toEqual([])
    await clock.advance(12)
    expect(asked).toEqual(['one'])
  })

  test('asks before the check, which comes all the same', async () => {
    check.checkWithin(1_000)
    check.expectLeaseEnd(clock.now() + 500)
    await clock.advance(511)
    expect(asked).toEqual(['one'])
    await clock.advance(389)
    expect(asked).toEqual(['one', 'all'])
  })

  test('that falls into a check is part of it', async () => {
    check.checkWithin(1_000)
    check.expectLeaseEnd(clock.now() + 950)
    await clock.advance(2_000)
    expect(asked).toEqual(['all'])
  })

  test('that has passed already asks at once', async () => {
    check.expectLeaseEnd(clock.now() - 1_000)
    await clock.advance(0)
    expect(asked).toEqual(['one'])
  })
})

describe('its timer', () => {
  test('is one, however much it is told', () => {
    check.checkWithin(1_000)
    check.expectLeaseEnd(clock.now() + 100)
    check.checkWithin(50)
    check.expectLeaseEnd(clock.now() + 5)
    expect(clock.pending).toBe(1)
  })

  test('is gone when it is stopped', async () => {
    check.checkWithin(1_000)
    check.expectLeaseEnd(clock.now() + 500)
    check.stop()
    expect(clock.pending).toBe(0)
    await clock.advance(5_000)
    expect(asked).toEqual([])
  })

  test('is set again for claims that come after it was stopped', async () => {
    check.checkWithin(1_000)
    check.stop()
    check.checkWithin(1_000)
    await clock.advance(1_000)
    expect(asked).toEqual(['all'])
  })

  test('may be stopped while it asks', async () => {
    check = new CheckTimer(clock, (whom) => {
      asked.push(whom)
      check.stop()
    })
    check.checkWithin(1_000)
    check.expectLeaseEnd(clock.now() + 500)
    await clock.advance(511)
    expect(asked).toEqual(['one'])
  })
})
