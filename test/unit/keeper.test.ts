import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Keeper } from '../../src/lease/keeper.js'
import { Lease, type LeaseTerms } from '../../src/lease/lease.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeStore, refused, turn, unreachable } from '../support/fake-store.js'
import { makeTenure } from '../support/tenures.js'
import { expectNoTimer } from '../support/timers.js'

const TTL_MS = 3_000
/** Of a lease of three seconds, 40 ms are kept back. */
const DEADLINE_MS = TTL_MS - 40
/** With the jitter in its middle. */
const FIRST_RENEWAL_MS = DEADLINE_MS - TTL_MS * 0.7

let clock: FakeClock
let store: FakeStore
let keeper: Keeper
let count = 0

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  clock = new FakeClock()
  store = new FakeStore()
  keeper = new Keeper(store, clock)
})

afterEach(() => {
  vi.restoreAllMocks()
})

function keep(terms: Partial<LeaseTerms> = {}, { pushed = false, validForMs = terms.ttlMs ?? TTL_MS } = {}): Lease {
  count += 1
  const id = `s.${count}`
  const rest = { name: 'a', claimId: id, info: '', ttlMs: TTL_MS, autoExtend: true, maxHoldMs: Number.POSITIVE_INFINITY, minHoldMs: 0 }
  const all = { ...rest, ...terms }
  const tenure = makeTenure(clock.now(), { id, ttlMs: all.ttlMs, fencingToken: count, validUntilMs: clock.now() + validForMs, pushed })
  const lease = new Lease(all, tenure, count, clock)
  keeper.keep(lease)
  return lease
}

const held = (validForMs = TTL_MS) => ({ status: 'held' as const, validUntilMs: clock.now() + validForMs })

describe('a lease that is kept', () => {
  test('is renewed when a third of it has passed', async () => {
    const lease = keep()
    await clock.advance(FIRST_RENEWAL_MS - 1)
    expect(store.open).toEqual([])
    await clock.advance(1)
    const renewal = store.take('renew')
    expect(renewal.args).toEqual(['a', lease.id, TTL_MS, undefined, undefined])
    await renewal.reply(held())
    expect(lease.state).toBe('held')
    expect(lease.remainingMs).toBeCloseTo(DEADLINE_MS)
  })

  test('stays held for as long as renewals are answered', async () => {
    const lease = keep()
    store.answer('renew', () => held())
    await clock.advance(100 * TTL_MS)
    expect(lease.state).toBe('held')
    expect(clock.pending).toBe(1)
  })

  test('ends at its deadline if it is not to be extended, without a request', async () => {
    const lease = keep({ autoExtend: false })
    await clock.advance(DEADLINE_MS - 1)
    expect(lease.state).toBe('held')
    const { signal } = lease
    await clock.advance(1)
    expect(signal.aborted).toBe(true)
    expect(store.open).toEqual([])
    expect(keeper.has(lease.id)).toBe(false)
    await expectNoTimer(clock)
  })

  test('is let go after maxHoldMs, and not renewed when that adds nothing', async () => {
    const lease = keep({ maxHoldMs: 10_000 })
    store.answer('renew', (_name, _id, ttlMs) => held(ttlMs))
    const { signal } = lease
    await clock.advance(10_000 - TTL_MS / 3 - 41)
    expect(signal.aborted).toBe(false)
    await clock.advance(TTL_MS / 3 + 41)
    expect(signal.aborted).toBe(true)
    expect(keeper.has(lease.id)).toBe(false)
  })

  test('is not kept any more once it is dropped', async () => {
    const lease = keep()
    expect([...keeper.leases]).toEqual([lease])
    keeper.drop(lease)
    keeper.drop(lease)
    expect([...keeper.leases]).toEqual([])
    await expectNoTimer(clock)
    await clock.advance(10 * TTL_MS)
    expect(store.open).toEqual([])
  })
})

describe('a pushed grant', () => {
  test('is confirmed after 50 ms with the whole lease', async () => {
    const lease = keep({}, { pushed: true, validForMs: 500 })
    await clock.advance(49)
    expect(store.open).toEqual([])
    await clock.advance(1)
    const renewal = store.take('renew')
    expect(renewal.args[2]).toBe(TTL_MS)
    await renewal.reply(held())
    expect(lease.remainingMs).toBeCloseTo(DEADLINE_MS)
  })

  test('that is not to be extended is made as long as it was claimed, once', async () => {
    const lease = keep({ autoExtend: false }, { pushed: true, validForMs: 500 })
    await clock.advance(50)
    const renewal = store.take('renew')
    expect(renewal.args[2]).toBe(TTL_MS - 50)
    await renewal.reply(held(TTL_MS - 50))
    await clock.advance(TTL_MS - 100)
    expect(lease.state).toBe('held')
    await clock.advance(100)
    expect(lease.state).toBe('lost')
    expect(store.open).toEqual([])
  })

  test('is confirmed although a hint is followed first', async () => {
    const lease = keep({ autoExtend: false }, { pushed: true, validForMs: 500 })
    keeper.verify(lease.id)
    await store.take('renew').reply(held(1))
    await clock.advance(50)
    expect(store.take('renew').args[2]).toBe(TTL_MS - 50)
  })

  test('of a very short lease is confirmed in its first quarter', async () => {
    keep({ ttlMs: 100 }, { pushed: true })
    await clock.advance(25)
    expect(store.open).toEqual(['renew'])
  })
})

describe('a renewal that fails', () => {
  test('makes the state unknown and is tried again, ever sooner, until one succeeds', async () => {
    const lease = keep()
    await clock.advance(FIRST_RENEWAL_MS)
    await store.take('renew').fail(unreachable())
    expect(lease.state).toBe('unknown')
    const delayMs = lease.remainingMs / 8
    await clock.advance(delayMs - 1)
    expect(store.open).toEqual([])
    await clock.advance(1)
    await store.take('renew').fail(unreachable())
    await clock.advance(lease.remainingMs / 8)
    await store.take('renew').reply(held())
    expect(lease.state).toBe('held')
  })

  test.each([
    ['unreachable', unreachable()],
    ['refused', refused()],
    ['something else', 'a bare text'],
  ])('until the deadline is a loss: %s', async (_, error) => {
    const lease = keep()
    const { signal } = lease
    vi.spyOn(store, 'renew').mockRejectedValue(error)
    await clock.advance(DEADLINE_MS - 1)
    expect(lease.state).toBe('unknown')
    expect(signal.aborted).toBe(false)
    await clock.advance(1)
    expect(signal.aborted).toBe(true)
    expect(keeper.has(lease.id)).toBe(false)
    await expectNoTimer(clock)
    expect(vi.mocked(store.renew).mock.calls.length).toBeGreaterThan(3)
  })

  test('or is never answered: the signal fires at the deadline all the same', async () => {
    const lease = keep()
    const { signal } = lease
    await clock.advance(DEADLINE_MS)
    expect(store.open).toEqual(['renew'])
    expect(signal.aborted).toBe(true)
    // The answer comes after all: what is lost stays lost.
    await store.take('renew').reply(held())
    expect(lease.state).toBe('lost')
    expect(keeper.has(lease.id)).toBe(false)
    await expectNoTimer(clock)
  })

  test('is asked for again at once when the server is back', async () => {
    const [uncertain, certain] = [keep(), keep({ ttlMs: 60_000 })]
    await clock.advance(FIRST_RENEWAL_MS)
    await store.take('renew').fail(unreachable())
    keeper.recheck()
    const renewal = store.take('renew')
    expect(renewal.args[1]).toBe(uncertain.id)
    expect(store.open).toEqual([])
    await renewal.reply(held())
    expect([uncertain.state, certain.state]).toEqual(['held', 'held'])
  })
})

describe('the word of the server that it has the lease no more', () => {
  test('is a loss at once', async () => {
    const lease = keep()
    const { signal } = lease
    await clock.advance(FIRST_RENEWAL_MS)
    await store.take('renew').reply({ status: 'lost' })
    expect(signal.aborted).toBe(true)
    expect(signal.reason.message).toContain('the server no longer has it')
    expect(keeper.has(lease.id)).toBe(false)
    await expectNoTimer(clock)
  })

  test('is nothing to a lease that was released meanwhile', async () => {
    const lease = keep()
    await clock.advance(FIRST_RENEWAL_MS)
    keeper.drop(lease)
    lease.markReleased()
    await store.take('renew').reply({ status: 'lost' })
    expect(lease.state).toBe('released')
    await expectNoTimer(clock)
  })

  test('nor does a late success bring a released one back', async () => {
    const lease = keep()
    await clock.advance(FIRST_RENEWAL_MS)
    keeper.drop(lease)
    lease.markReleased()
    await store.take('renew').reply(held())
    expect(keeper.has(lease.id)).toBe(false)
    await expectNoTimer(clock)
  })
})

describe('a hint that a lock was taken away', () => {
  test('is asked about, and changes nothing of a lease that stands', async () => {
    const lease = keep()
    const { remainingMs } = lease
    keeper.verify(lease.id)
    const renewal = store.take('renew')
    expect(renewal.args).toEqual(['a', lease.id, 1, undefined, undefined])
    await renewal.reply(held(1))
    expect(lease.state).toBe('held')
    expect(lease.remainingMs).toBe(remainingMs)
  })

  test('is true when the server says so', async () => {
    const lease = keep()
    keeper.verify(lease.id)
    await store.take('renew').reply({ status: 'lost' })
    expect(lease.state).toBe('lost')
  })

  test('that comes during a renewal is asked about afterwards: the answer on its way may be older', async () => {
    const lease = keep()
    await clock.advance(FIRST_RENEWAL_MS)
    const renewal = store.take('renew')
    keeper.verify(lease.id)
    keeper.verify(lease.id)
    expect(store.open).toEqual([])
    await renewal.reply(held())
    expect(lease.state).toBe('held')
    await store.take('renew').reply({ status: 'lost' })
    expect(lease.state).toBe('lost')
    expect(store.open).toEqual([])
  })

  test('about a lock that is not kept is nothing', () => {
    keeper.verify('nobody.1')
    expect(store.open).toEqual([])
  })
})

describe('a lock that is handed on under one id', () => {
  function follow(first: Lease, fencingToken: number): Lease {
    const lease = new Lease({ ...first.terms, claimId: 's.next', info: 'next' }, first.tenure, fencingToken, clock)
    keeper.drop(first)
    first.markReleased()
    keeper.keep(lease)
    return lease
  }

  test('is kept as the present holder has it, whatever the one before is told', async () => {
    const first = keep()
    const second = follow(first, first.fencingToken + 5)
    keeper.drop(first)
    expect([keeper.keeps(first), keeper.keeps(second), keeper.has(first.id)]).toEqual([false, true, true])
    store.answer('renew', () => held())
    await clock.advance(10 * TTL_MS)
    expect([second.state, clock.pending]).toEqual(['held', 1])
  })

  test('shows its present holder with the first renewal that succeeds', async () => {
    const first = keep()
    const second = follow(first, first.fencingToken + 5)
    await clock.advance(FIRST_RENEWAL_MS)
    const holder = { fencingToken: second.fencingToken, info: 'next' }
    await store.take('renew').fail(unreachable())
    await clock.advance(second.remainingMs / 8)
    const again = store.take('renew')
    expect(again.args[3]).toEqual(holder)
    await again.reply(held())
    await clock.advance(FIRST_RENEWAL_MS)
    expect(store.take('renew').args[3]).toBeUndefined()
  })

  test('is lost to its present holder when the renewal of the one before finds it so', async () => {
    const first = keep()
    await clock.advance(FIRST_RENEWAL_MS)
    const renewal = store.take('renew')
    const second = follow(first, first.fencingToken + 5)
    await renewal.reply({ status: 'lost' })
    expect([first.state, second.state]).toEqual(['released', 'lost'])
    await expectNoTimer(clock)
  })

  test('has what the renewal of the one before brought', async () => {
    const first = keep()
    await clock.advance(FIRST_RENEWAL_MS)
    const renewal = store.take('renew')
    await renewal.reply(held())
    expect(follow(first, first.fencingToken + 5).remainingMs).toBeCloseTo(DEADLINE_MS)
  })

  test('is asked about for its present holder when there is a hint', async () => {
    const first = keep()
    const second = follow(first, first.fencingToken + 5)
    keeper.verify(first.id)
    await store.take('renew').reply({ status: 'lost' })
    expect([first.state, second.state]).toEqual(['released', 'lost'])
  })
})

describe('many leases', () => {
  test('have one timer', () => {
    for (let i = 0; i < 100; i++) keep({ ttlMs: 1_000 + i })
    expect(clock.pending).toBe(1)
  })

  test('that are due within 10 ms of each other are renewed together', async () => {
    keep()
    await clock.advance(9)
    keep()
    await clock.advance(FIRST_RENEWAL_MS - 9)
    expect(store.open).toEqual(['renew', 'renew'])
  })

  test('end each at its own time', async () => {
    const first = keep({ autoExtend: false })
    await clock.advance(5)
    const second = keep({ autoExtend: false })
    const signals = [first.signal, second.signal]
    await clock.advance(DEADLINE_MS - 5)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
    await clock.advance(5)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
  })
})

test('a renewal that somebody else asked for puts off the next', async () => {
  const lease = keep()
  await clock.advance(FIRST_RENEWAL_MS - 100)
  keeper.confirm(lease, clock.now() + TTL_MS, TTL_MS)
  await clock.advance(FIRST_RENEWAL_MS - 1)
  expect(store.open).toEqual([])
  await clock.advance(1)
  expect(store.open).toEqual(['renew'])
})

test('a process that stood still past the deadline finds the lock lost, and asks for nothing', async () => {
  const lease = keep()
  const { signal } = lease
  // Both timers, the renewal's and the deadline's, are late.
  const now = vi.spyOn(clock, 'now').mockReturnValue(clock.now() + 10 * TTL_MS)
  await clock.advance(FIRST_RENEWAL_MS)
  expect(signal.aborted).toBe(true)
  expect(store.open).toEqual([])
  now.mockRestore()
  await turn()
  expect(keeper.has(lease.id)).toBe(false)
})
