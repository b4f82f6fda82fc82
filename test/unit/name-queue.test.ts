import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Claim } from '../../src/acquire/claim.js'
import { NameQueue, PendingClaim, Seat } from '../../src/acquire/name-queue.js'
import { FakeClock } from '../../src/testing/fake-clock.js'

const CLAIM: Claim = { name: 'a', mode: 'exclusive', permits: 1, limit: 1, ttlMs: 30_000, priority: 0, info: '' }
const PERMIT: Claim = { ...CLAIM, mode: 'counted', limit: 3 }
const READER: Claim = { ...CLAIM, mode: 'counted', limit: 0 }

let clock: FakeClock
let asked: string[]
let queue: NameQueue
let count = 0

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  clock = new FakeClock()
  asked = []
  count = 0
  queue = new NameQueue('a', clock, true, (seat) => asked.push(seat.id))
})

afterEach(() => {
  vi.restoreAllMocks()
})

function enter(claim: Claim): PendingClaim {
  const nothing = () => undefined
  const pending = new PendingClaim(`s.${++count}`, claim, { waitMs: Number.POSITIVE_INFINITY }, clock.now(), nothing, nothing)
  queue.add(pending)
  return pending
}

function seat(pending: PendingClaim): Seat {
  const made = new Seat(pending, true)
  pending.seat = made
  queue.seats.add(made)
  return made
}

/** Claims that stand in the line, each with a seat if it is due one. */
function enterAll(...claims: Claim[]): (string | undefined)[] {
  return claims.map((claim) => {
    const pending = enter(claim)
    const due = queue.due(pending)
    if (due !== undefined) seat(pending)
    return due
  })
}

describe('what the server is asked for', () => {
  test('is the first of those who want the whole name', () => {
    expect(enterAll(CLAIM, CLAIM, CLAIM)).toEqual(['place', undefined, undefined])
  })

  test('is whoever goes first by priority, although others are asked for already', () => {
    expect(enterAll(CLAIM, { ...CLAIM, priority: -1 }, { ...CLAIM, priority: 1 })).toEqual(['place', undefined, 'place'])
  })

  test('are as many as may find room beside the first', () => {
    expect(enterAll(PERMIT, PERMIT, PERMIT, PERMIT)).toEqual(['place', 'attempt', 'attempt', undefined])
    expect(enterAll({ ...PERMIT, priority: 1, permits: 2 })).toEqual(['place'])
  })

  test('are all readers', () => {
    expect(enterAll(READER, READER, READER, READER)).toEqual(['place', 'attempt', 'attempt', 'attempt'])
  })

  test('is nobody beside the first once the server has said that one must wait', () => {
    queue.full = true
    expect(enterAll(READER, READER)).toEqual(['place', undefined])
  })

  test('is nobody behind somebody who wants something else, or is not asked for', () => {
    expect(enterAll(READER, CLAIM, READER, READER)).toEqual(['place', undefined, undefined, undefined])
    queue = new NameQueue('a', clock, true, () => undefined)
    expect(enterAll(PERMIT, { ...PERMIT, permits: 2 }, PERMIT)).toEqual(['place', undefined, undefined])
    queue = new NameQueue('a', clock, true, () => undefined)
    expect(enterAll(PERMIT, { ...PERMIT, ttlMs: 5 }, PERMIT)).toEqual(['place', undefined, undefined])
  })

  test('is a claim with another limit, wherever it stands: that is a conflict, to be told at once', () => {
    expect(enterAll(CLAIM, PERMIT, { ...PERMIT, limit: 4 }, READER)).toEqual(['place', undefined, 'place', 'place'])
  })
})

test('where locks are not handed on, the server is asked for everybody', () => {
  queue = new NameQueue('a', clock, false, () => undefined)
  expect(enterAll(CLAIM, CLAIM, PERMIT, READER)).toEqual(['place', 'place', 'place', 'place'])
})

describe('the check', () => {
  test('asks for all that have a seat', async () => {
    const [first, , third] = [enter(CLAIM), enter(CLAIM), enter(CLAIM)]
    seat(first)
    seat(third)
    queue.check.checkWithin(1_000)
    await clock.advance(1_000)
    expect(asked).toEqual(['s.1', 's.3'])
  })

  test("at the end of the holders' leases asks for one of them", async () => {
    seat(enter(CLAIM))
    seat(enter(CLAIM))
    queue.check.expectLeaseEnd(clock.now() + 500)
    await clock.advance(511)
    expect(asked).toEqual(['s.1'])
  })

  test('works with seats that go while they are asked for', async () => {
    queue = new NameQueue('a', clock, true, (one) => {
      asked.push(one.id)
      queue.seats.delete(one)
    })
    seat(enter(CLAIM))
    seat(enter(CLAIM))
    queue.check.checkWithin(1_000)
    await clock.advance(1_000)
    expect(asked).toEqual(['s.1', 's.2'])
  })
})

test('others are known to wait since the first news of them, until there are none', () => {
  expect(queue.crowdedSinceMs).toBeUndefined()
  const sinceMs = clock.now()
  queue.setCrowded(true)
  vi.spyOn(clock, 'now').mockReturnValue(sinceMs + 100)
  queue.setCrowded(true)
  expect(queue.crowdedSinceMs).toBe(sinceMs)
  queue.setCrowded(false)
  expect(queue.crowdedSinceMs).toBe(Number.POSITIVE_INFINITY)
  queue.setCrowded(true)
  expect(queue.crowdedSinceMs).toBe(sinceMs + 100)
})
