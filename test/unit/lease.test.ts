import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { LockLostError } from '../../src/errors.js'
import { Lease, type LeaseTerms } from '../../src/lease/lease.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { makeTenure } from '../support/tenures.js'

const TTL_MS = 1_000
/** The margin that is kept back of a lease of a second. */
const MARGIN_MS = 20

let clock: FakeClock

beforeEach(() => {
  clock = new FakeClock(50_000)
})

function makeLease(terms: Partial<LeaseTerms> = {}, pushed = false, validForMs = TTL_MS): Lease {
  const usual = { name: 'a', claimId: 's.1', info: '', ttlMs: TTL_MS, autoExtend: true, maxHoldMs: Number.POSITIVE_INFINITY, minHoldMs: 0 }
  const all = { ...usual, ...terms }
  return new Lease(all, makeTenure(clock.now(), { ttlMs: all.ttlMs, validUntilMs: clock.now() + validForMs, pushed }), 7, clock)
}

describe('time', () => {
  test('turns a lease into a loss at its deadline, which is the margin before its end', async () => {
    const lease = makeLease()
    expect(lease.deadlineMs).toBe(50_000 + TTL_MS - MARGIN_MS)
    await clock.advance(TTL_MS - MARGIN_MS - 1)
    expect(lease.state).toBe('held')
    expect(lease.remainingMs).toBe(1)
    await clock.advance(1)
    expect(lease.state).toBe('lost')
    expect(lease.remainingMs).toBe(0)
  })

  test.each([
    ['state', (lease: Lease) => lease.state === 'lost'],
    ['signal', (lease: Lease) => lease.signal.aborted],
    ['remainingMs', (lease: Lease) => lease.remainingMs === 0],
    ['lossError', (lease: Lease) => lease.lossError !== undefined],
  ])('shows in %s without any timer: a process that stood still learns of it by looking', (_, isLost) => {
    const lease = makeLease()
    expect(isLost(lease)).toBe(false)
    vi.spyOn(clock, 'now').mockReturnValue(lease.deadlineMs)
    expect(isLost(lease)).toBe(true)
  })

  test('changes nothing of a lease that was released', async () => {
    const lease = makeLease()
    lease.markReleased()
    await clock.advance(10 * TTL_MS)
    expect(lease.state).toBe('released')
    expect(lease.signal.aborted).toBe(false)
    expect(lease.lossError).toBeUndefined()
    expect(lease.remainingMs).toBe(0)
  })
})

describe('a confirmation', () => {
  test('moves the deadline, never back', () => {
    const lease = makeLease()
    lease.confirm(60_000, TTL_MS)
    expect(lease.deadlineMs).toBe(60_000 - MARGIN_MS)
    lease.confirm(55_000, TTL_MS)
    expect(lease.deadlineMs).toBe(60_000 - MARGIN_MS)
  })

  test('ends the doubt', () => {
    const lease = makeLease()
    lease.doubt(new Error('no answer'))
    expect(lease.state).toBe('unknown')
    lease.confirm(clock.now() + TTL_MS, TTL_MS)
    expect(lease.state).toBe('held')
  })

  test.each(['lost', 'released'])('comes too late for a lease that is %s', (state) => {
    const lease = makeLease()
    const { deadlineMs } = lease
    if (state === 'lost') lease.lose('gone')
    else lease.markReleased()
    lease.confirm(clock.now() + 10 * TTL_MS, TTL_MS)
    expect(lease.state).toBe(state)
    expect(lease.deadlineMs).toBe(deadlineMs)
  })
})

describe('doubt', () => {
  test('leaves the lock ours until the deadline', async () => {
    const lease = makeLease()
    lease.doubt(new Error('no answer'))
    expect(lease.isActive).toBe(true)
    expect(lease.remainingMs).toBe(TTL_MS - MARGIN_MS)
    expect(lease.signal.aborted).toBe(false)
    await clock.advance(TTL_MS)
    expect(lease.state).toBe('lost')
    expect(lease.lossError?.message).toContain('no renewal got through')
  })

  test('that comes after the deadline is a loss', () => {
    const lease = makeLease()
    vi.spyOn(clock, 'now').mockReturnValue(lease.deadlineMs)
    lease.doubt(new Error('no answer'))
    expect(lease.state).toBe('lost')
  })
})

describe('a loss', () => {
  test('aborts the signal with a LockLostError that names the lock and the reason', () => {
    const lease = makeLease()
    const { signal } = lease
    lease.lose('the server no longer has it', new Error('the cause'))
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toBeInstanceOf(LockLostError)
    expect(signal.reason).toMatchObject({ code: 'LOCK_LOST', key: 'a', message: 'the lock "a" was lost: the server no longer has it' })
    expect(signal.reason.cause).toMatchObject({ message: 'the cause' })
  })

  test('shows in a signal that is asked for afterwards', () => {
    const lease = makeLease()
    lease.lose('gone')
    expect(lease.signal.aborted).toBe(true)
    expect(lease.signal.reason).toBe(lease.lossError)
    expect(lease.signal).toBe(lease.signal)
  })

  test('happens once, and its first reason stays', () => {
    const lease = makeLease()
    let aborts = 0
    lease.signal.addEventListener('abort', () => (aborts += 1))
    lease.lose('first')
    lease.lose('second')
    lease.foundLost('third')
    expect(aborts).toBe(1)
    expect(lease.lossError?.message).toContain('first')
  })

  test('is not for what was released, unless the release itself found it', () => {
    const lease = makeLease()
    lease.markReleased()
    lease.lose('gone')
    expect(lease.state).toBe('released')
    lease.foundLost('the server no longer had it')
    expect(lease.state).toBe('lost')
    expect(lease.signal.aborted).toBe(true)
  })
})

describe('what a renewal asks for', () => {
  test('the whole lease', () => {
    expect(makeLease().renewalTtlMs()).toBe(TTL_MS)
  })

  test('no more than is left of maxHoldMs, in whole milliseconds, and at least one', async () => {
    const lease = makeLease({ maxHoldMs: 1_500 })
    await clock.advance(600.5)
    expect(lease.renewalTtlMs()).toBe(899)
    vi.spyOn(clock, 'now').mockReturnValue(90_000)
    expect(lease.renewalTtlMs()).toBe(1)
  })

  test('nothing that would lengthen a lease that is not to be extended', () => {
    expect(makeLease({ autoExtend: false }).renewalTtlMs()).toBe(1)
  })

  test('of a pushed one that is not to be extended: what was claimed, counted from the grant, until it is confirmed', async () => {
    const lease = makeLease({ autoExtend: false }, true, 500)
    await clock.advance(50)
    expect(lease.renewalTtlMs()).toBe(950)
    lease.confirm(clock.now() + 1, 1)
    expect(lease.renewalTtlMs()).toBe(950)
    lease.confirm(clock.now() + 950, 950)
    expect(lease.renewalTtlMs()).toBe(1)
  })
})

describe('a lock that was handed on', () => {
  const terms = {
    name: 'a',
    claimId: 's.2',
    info: 'next',
    ttlMs: TTL_MS,
    autoExtend: true,
    maxHoldMs: Number.POSITIVE_INFINITY,
    minHoldMs: 0,
  }

  test('is one of the tenure, at a time of its own', async () => {
    const tenure = makeTenure(clock.now(), { id: 's.1', ttlMs: TTL_MS })
    await clock.advance(300)
    const lease = new Lease(terms, tenure, 8, clock)
    expect(lease).toMatchObject({ id: 's.1', fencingToken: 8, grantedAtMs: 50_300, deadlineMs: 50_000 + TTL_MS - MARGIN_MS })
    expect(lease.successor).toEqual({ fencingToken: 8, info: 'next' })
  })

  test.each([
    [100, true, false],
    [101, true, true],
    [0, false, true],
  ])('%d ms after its lease began, extended by itself: %s, is to be confirmed soon: %s', async (agoMs, autoExtend, provisional) => {
    const tenure = makeTenure(clock.now(), { id: 's.1', ttlMs: TTL_MS })
    await clock.advance(agoMs)
    const lease = new Lease({ ...terms, autoExtend }, tenure, 8, clock)
    expect([lease.isProvisional, lease.provisionalSinceMs]).toEqual([provisional, clock.now()])
  })

  test('under a pushed grant counts from that: it stands for a claim window only', async () => {
    const tenure = makeTenure(clock.now(), { id: 's.1', ttlMs: TTL_MS, pushed: true })
    await clock.advance(30)
    const lease = new Lease(terms, tenure, 8, clock)
    expect([lease.isProvisional, lease.provisionalSinceMs]).toEqual([true, 50_000])
  })

  test('lengthens the tenure by its renewals, for whoever comes next', () => {
    const tenure = makeTenure(clock.now(), { id: 's.1', ttlMs: TTL_MS })
    new Lease(terms, tenure, 8, clock).confirm(70_000, TTL_MS)
    expect(new Lease(terms, tenure, 9, clock).deadlineMs).toBe(70_000 - MARGIN_MS)
  })
})

test('the server is told of the claimant where it was granted for another of the same process', () => {
  const tenure = makeTenure(clock.now(), { ttlMs: TTL_MS, info: 'before' })
  const terms = {
    name: 'a',
    claimId: 's.2',
    info: 'now',
    ttlMs: TTL_MS,
    autoExtend: true,
    maxHoldMs: Number.POSITIVE_INFINITY,
    minHoldMs: 0,
  }
  expect(new Lease(terms, tenure, 7, clock).successor).toEqual({ fencingToken: 7, info: 'now' })
  expect(makeLease().successor).toBeUndefined()
})

describe('what can be observed', () => {
  function record<T>(event: string, work: () => T): unknown[] {
    const messages: unknown[] = []
    const listener = (message: unknown) => messages.push(message)
    subscribe(event, listener)
    work()
    unsubscribe(event, listener)
    return messages
  }

  test('unknown, held and lost, each once', () => {
    const lease = makeLease()
    const error = new Error('no answer')
    const base = { name: 'a', id: 's.1', fencingToken: 7 }
    const doubtTwice = () => {
      lease.doubt(error)
      lease.doubt(error)
    }
    expect(record('halocksmith:unknown', doubtTwice)).toEqual([{ ...base, error }])
    const confirmTwice = () => {
      lease.confirm(clock.now() + TTL_MS, TTL_MS)
      lease.confirm(clock.now() + TTL_MS, TTL_MS)
    }
    expect(record('halocksmith:held', confirmTwice)).toEqual([base])
    const loseTwice = () => {
      lease.lose('gone')
      lease.lose('gone')
    }
    expect(record('halocksmith:lost', loseTwice)).toEqual([{ ...base, error: lease.lossError }])
  })
})
