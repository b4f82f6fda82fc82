import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { NameQueue } from '../../src/acquire/name-queue.js'
import { FakeClock } from '../../src/testing/fake-clock.js'

let clock: FakeClock
let asked: string[]
let queue: NameQueue<string>

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  clock = new FakeClock()
  asked = []
  queue = new NameQueue(clock, (claim) => asked.push(claim))
  queue.claims.add('a').add('b')
})

afterEach(() => {
  vi.restoreAllMocks()
})

describe('the regular check', () => {
  test('asks for every claim, once', async () => {
    queue.checkWithin(1_000)
    await clock.advance(899)
    expect(asked).toEqual([])
    await clock.advance(1)
    expect(asked).toEqual(['a', 'b'])
    await clock.advance(10_000)
    expect(asked).toHaveLength(2)
    expect(clock.pending).toBe(0)
  })

  test.each([
    [0, 800],
    [0.999, 999.8],
  ])('comes between 80 and 100 %% of its time: random %d', async (random, atMs) => {
    vi.mocked(Math.random).mockReturnValue(random)
    queue.checkWithin(1_000)
    await clock.advance(atMs - 0.1)
    expect(asked).toEqual([])
    await clock.advance(0.2)
    expect(asked).toHaveLength(2)
  })

  test('is not put off by a later one, and is brought forward by an earlier one', async () => {
    queue.checkWithin(1_000)
    queue.checkWithin(5_000)
    await clock.advance(900)
    expect(asked).toHaveLength(2)
    queue.checkWithin(1_000)
    queue.checkWithin(100)
    await clock.advance(90)
    expect(asked).toHaveLength(4)
    await clock.advance(10_000)
    expect(asked).toHaveLength(4)
  })
})

describe("the end of the holders' leases", () => {
  test('asks for one claim, whichever, a little later than the lease ends', async () => {
    queue.expectLeaseEnd(clock.now() + 500)
    await clock.advance(500)
    expect(asked).toEqual([])
    await clock.advance(11)
    expect(asked).toEqual(['a'])
    expect(clock.pending).toBe(1)
  })

  test('the newest word of it counts', async () => {
    queue.expectLeaseEnd(clock.now() + 500)
    queue.expectLeaseEnd(clock.now() + 2_000)
    await clock.advance(1_999)
    expect(asked).toEqual([])
    await clock.advance(12)
    expect(asked).toEqual(['a'])
  })

  test('asks before the check, which comes all the same', async () => {
    queue.checkWithin(1_000)
    queue.expectLeaseEnd(clock.now() + 500)
    await clock.advance(511)
    expect(asked).toEqual(['a'])
    await clock.advance(389)
    expect(asked).toEqual(['a', 'a', 'b'])
  })

  test('that falls into a check is part of it', async () => {
    queue.checkWithin(1_000)
    queue.expectLeaseEnd(clock.now() + 950)
    await clock.advance(2_000)
    expect(asked).toEqual(['a', 'b'])
  })

  test('that has passed already asks at once', async () => {
    queue.expectLeaseEnd(clock.now() - 1_000)
    await clock.advance(0)
    expect(asked).toEqual(['a'])
  })
})

describe('its timer', () => {
  test('is one, however much it is told', () => {
    queue.checkWithin(1_000)
    queue.expectLeaseEnd(clock.now() + 100)
    queue.checkWithin(50)
    queue.expectLeaseEnd(clock.now() + 5)
    expect(clock.pending).toBe(1)
  })

  test('is gone when the last claim has left', async () => {
    queue.checkWithin(1_000)
    queue.remove('a')
    expect(clock.pending).toBe(1)
    queue.remove('b')
    expect(clock.pending).toBe(0)
    await clock.advance(5_000)
    expect(asked).toEqual([])
  })

  test('is set again for claims that come after it was stopped', async () => {
    queue.checkWithin(1_000)
    queue.stop()
    queue.checkWithin(1_000)
    await clock.advance(1_000)
    expect(asked).toEqual(['a', 'b'])
  })

  test('works with claims that leave while they are asked', async () => {
    queue = new NameQueue(clock, (claim) => {
      asked.push(claim)
      queue.remove(claim)
    })
    queue.claims.add('x').add('y')
    queue.checkWithin(100)
    await clock.advance(1_000)
    expect(asked).toEqual(['x', 'y'])
    expect(clock.pending).toBe(0)
  })
})
