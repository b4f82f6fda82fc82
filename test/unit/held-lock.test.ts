import { beforeEach, describe, expect, test, vi } from 'vitest'
import { LockLostError, LockOptionError, LockUnavailableError } from '../../src/errors.js'
import { Keeper } from '../../src/lease/keeper.js'
import { Lease, type LeaseTerms } from '../../src/lease/lease.js'
import { type Holding, SingleHeldLock } from '../../src/primitives/held-lock.js'
import { parseSerialized } from '../../src/primitives/serialized.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeStore, refused, unreachable } from '../support/fake-store.js'
import { makeTenure } from '../support/tenures.js'
import { expectNoTimer } from '../support/timers.js'

const TTL_MS = 30_000
const ID = 'AAAAAAAAAAAAAAAAAAAAAA.1'

let clock: FakeClock
let store: FakeStore
let keeper: Keeper
let lease: Lease
let handOver: Holding['handOver']

beforeEach(() => {
  clock = new FakeClock()
  store = new FakeStore()
  keeper = new Keeper(store, clock)
  handOver = () => false
})

function hold(terms: Partial<LeaseTerms> = {}, { stray = false } = {}): SingleHeldLock {
  const usual = { name: 'a', claimId: ID, info: '', ttlMs: TTL_MS, autoExtend: false, maxHoldMs: Number.POSITIVE_INFINITY, minHoldMs: 0 }
  const all = { ...usual, ...terms }
  lease = new Lease(all, makeTenure(clock.now(), { id: ID, ttlMs: all.ttlMs, stray }), 7, clock)
  keeper.keep(lease)
  return new SingleHeldLock(lease, { store, clock, keeper, handOver, releasing: new Set() })
}

test('shows what it is', () => {
  const lock = hold()
  expect(lock).toMatchObject({ name: 'a', names: ['a'], fencingToken: 7, state: 'held', remainingMs: TTL_MS - 310 })
  expect(lock.signal.aborted).toBe(false)
  expect(() => lock.assertHeld()).not.toThrow()
})

describe('release', () => {
  test('lets go, and says so', async () => {
    const lock = hold()
    const releasing = lock.release()
    expect(lock.state).toBe('released')
    const request = store.take('release')
    expect(request.args).toEqual(['a', ID, undefined])
    await request.reply({ status: 'released' })
    await expect(releasing).resolves.toEqual({ released: true })
    await expectNoTimer(clock)
    expect(keeper.has(ID)).toBe(false)
    expect(lock.signal.aborted).toBe(false)
  })

  test('at the same time: one request, one answer', async () => {
    const lock = hold()
    const both = [lock.release(), lock.release()]
    await store.take('release').reply({ status: 'released' })
    expect(await Promise.all(both)).toEqual([{ released: true }, { released: true }])
    expect(store.open).toEqual([])
  })

  test('again: it was released already', async () => {
    const lock = hold()
    store.answer('release', () => ({ status: 'released' }))
    await lock.release()
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'already released' })
    await expect(lock[Symbol.asyncDispose]()).resolves.toBeUndefined()
  })

  test('of a lock that the server has no more is a loss, and stays one', async () => {
    const lock = hold()
    const { signal } = lock
    const releasing = lock.release()
    await store.take('release').reply({ status: 'absent' })
    await expect(releasing).resolves.toEqual({ released: false, reason: 'lost' })
    expect(lock.state).toBe('lost')
    expect(signal.aborted).toBe(true)
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
  })

  test('after the loss says so at once, and frees what may be left on the server in the background', async () => {
    const lock = hold()
    await clock.advance(TTL_MS)
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
    expect(store.open).toEqual(['release'])
    await store.take('release').reply({ status: 'absent' })
    await expectNoTimer(clock)
  })

  test('is sent again until it is answered; done before without a reply is done', async () => {
    const lock = hold()
    const releasing = lock.release()
    await store.take('release').fail(unreachable())
    await clock.advance(1_500)
    await store.take('release').reply({ status: 'absent' })
    await expect(releasing).resolves.toEqual({ released: true })
    await expectNoTimer(clock)
  })

  test('that is answered only after the lease has ended can not say that it was ours until then', async () => {
    const lock = hold({ ttlMs: 1_000 })
    const releasing = lock.release()
    await store.take('release').fail(unreachable())
    await clock.advance(200)
    const second = store.take('release')
    await clock.advance(1_000)
    await second.reply({ status: 'absent' })
    await expect(releasing).resolves.toEqual({ released: false, reason: 'lost' })
  })

  test('with the server away is given up after 5 seconds, and goes on behind until the lease has ended', async () => {
    const lock = hold()
    const { signal } = lock
    const settled = vi.fn()
    void lock.release().then(settled)
    const attempts = vi.spyOn(store, 'release').mockRejectedValue(unreachable())
    await store.take('release').fail(unreachable())
    await clock.advance(4_999)
    expect(settled).not.toHaveBeenCalled()
    // The pause after the last attempt that begins in time.
    await clock.advance(1_251)
    expect(settled).toHaveBeenCalledWith({ released: false, reason: 'lost' })
    expect(signal.reason.message).toContain('did not answer at its release')
    const sofar = attempts.mock.calls.length
    await clock.advance(TTL_MS)
    expect(attempts.mock.calls.length).toBeGreaterThan(sofar + 10)
    await expectNoTimer(clock)
  })

  test('that the server refuses tells why', async () => {
    const lock = hold()
    const releasing = lock.release()
    const rejected = expect(releasing).rejects.toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      key: 'a',
      message: 'the lock "a" could not be released, it ends with its lease: NOPERM no rights',
      cause: { kind: 'refused' },
    })
    await store.take('release').fail(refused())
    await rejected
    await expectNoTimer(clock)
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'already released' })
  })

  test('keeps the name taken for what is left of minHoldMs', async () => {
    const lock = hold({ minHoldMs: 1_000 })
    await clock.advance(299.5)
    void lock.release()
    expect(store.take('release').args[2]).toEqual({ keepMs: 701 })
  })

  test('after minHoldMs keeps nothing', async () => {
    const lock = hold({ minHoldMs: 1_000 })
    await clock.advance(1_000)
    void lock.release()
    expect(store.take('release').args[2]).toBeUndefined()
  })

  test('of a claim with a request that was never answered closes the door to it', async () => {
    const lock = hold({}, { stray: true })
    void lock.release()
    expect([store.take('release').args[2], store.take('release').args[2]]).toEqual([undefined, { withdraw: true }])
  })

  test('by hand, as `await using` does it', async () => {
    const lock = hold()
    const disposing = lock[Symbol.asyncDispose]()
    await store.take('release').reply({ status: 'absent' })
    await expect(disposing).resolves.toBeUndefined()
  })
})

describe('a release that may hand the lock on', () => {
  test('asks for it first, and is done when somebody here has it', async () => {
    const calls: unknown[] = []
    handOver = (name, tenure) => calls.push([name, tenure.id]) > 0
    const lock = hold()
    const remove = vi.spyOn(keeper, 'drop')
    await expect(lock.release()).resolves.toEqual({ released: true })
    expect(calls).toEqual([['a', ID]])
    expect(remove).toHaveBeenCalledWith(lease)
    expect([store.open, lock.state, lock.signal.aborted]).toEqual([[], 'released', false])
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'already released' })
    expect(calls).toHaveLength(1)
  })

  test.each<[string, Partial<LeaseTerms>, (lock: SingleHeldLock) => void]>([
    ['with minHoldMs left', { minHoldMs: 1_000 }, () => undefined],
    ['while its state is unknown', {}, () => lease.doubt(new Error('no answer'))],
    ['when it is lost', {}, () => lease.lose('gone')],
  ])('does not ask %s', async (_, terms, prepare) => {
    const asked = vi.fn(() => true)
    handOver = asked
    const lock = hold(terms)
    prepare(lock)
    void lock.release()
    expect(asked).not.toHaveBeenCalled()
    expect(store.open).toEqual(['release'])
  })

  test('after serialize() finds its tenure sealed', () => {
    hold()
    const open = makeTenure(clock.now(), { canHandOn: true })
    expect(open.handOn(clock.now() + 1, 0, Number.POSITIVE_INFINITY, { most: 1, forMs: 1 }, 5_000)).toBeDefined()
    lease = new Lease(lease.terms, open, open.lastToken, clock)
    new SingleHeldLock(lease, { store, clock, keeper, handOver, releasing: new Set() }).serialize()
    expect(open.handOn(clock.now() + 2, 0, Number.POSITIVE_INFINITY, { most: 1, forMs: 1 }, 5_000)).toBeUndefined()
  })
})

describe('extend', () => {
  test('asks for no more than is left of maxHoldMs, and then for nothing', async () => {
    const lock = hold({ maxHoldMs: TTL_MS + 5_000 })
    await clock.advance(10_000)
    const extending = lock.extend()
    const request = store.take('renew')
    expect(request.args.slice(0, 3)).toEqual(['a', ID, TTL_MS - 5_000])
    await request.reply({ status: 'held', validUntilMs: clock.now() + TTL_MS - 5_000 })
    await extending
    await clock.advance(TTL_MS - 5_400)
    void lock.extend(60_000).catch(() => {})
    expect(store.take('renew').args[2]).toBe(400)
  })

  test('makes the lease last from now, the time of its own by default', async () => {
    const lock = hold()
    await clock.advance(10_000)
    const extending = lock.extend()
    const request = store.take('renew')
    expect(request.args).toEqual(['a', ID, TTL_MS, undefined, undefined])
    await request.reply({ status: 'held', validUntilMs: clock.now() + TTL_MS })
    await extending
    expect(lock.remainingMs).toBe(TTL_MS - 310)
  })

  test('never makes it shorter', async () => {
    const lock = hold()
    const { remainingMs } = lock
    const extending = lock.extend(100)
    await store.take('renew').reply({ status: 'held', validUntilMs: clock.now() + 100 })
    await extending
    expect(lock.remainingMs).toBe(remainingMs)
  })

  test('of a lock that the server has no more is a loss', async () => {
    const lock = hold()
    const extending = expect(lock.extend()).rejects.toBeInstanceOf(LockLostError)
    await store.take('renew').reply({ status: 'lost' })
    await extending
    expect(lock.state).toBe('lost')
    expect(lock.signal.aborted).toBe(true)
  })

  test.each(['released', 'lost'])('of a lock that is %s sends nothing', async (state) => {
    const lock = hold()
    if (state === 'released') void lock.release()
    else lease.lose('gone')
    await expect(lock.extend()).rejects.toMatchObject({ code: 'LOCK_LOST', key: 'a' })
    expect(store.open).not.toContain('renew')
  })

  test('that overtakes a release does not bring the lock back', async () => {
    const lock = hold()
    const extending = expect(lock.extend()).rejects.toBeInstanceOf(LockLostError)
    const renewal = store.take('renew')
    void lock.release()
    await renewal.reply({ status: 'held', validUntilMs: clock.now() + TTL_MS })
    await extending
    expect(lock.state).toBe('released')
    expect(keeper.has(ID)).toBe(false)
  })

  test('with the server away leaves the lock as it is', async () => {
    const lock = hold()
    const extending = expect(lock.extend()).rejects.toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      message: 'the lock "a" could not be extended: no connection',
    })
    await store.take('renew').fail(unreachable())
    await extending
    expect(lock.state).toBe('held')
  })

  test('with the server away until the lease ended is a loss', async () => {
    const lock = hold()
    const extending = expect(lock.extend()).rejects.toBeInstanceOf(LockLostError)
    await clock.advance(TTL_MS)
    await store.take('renew').fail(unreachable())
    await extending
  })

  test('that fails in an unforeseen way says how', async () => {
    const lock = hold()
    const extending = expect(lock.extend()).rejects.toBeInstanceOf(LockUnavailableError)
    await store.take('renew').fail('a bare text')
    await extending
  })

  test.each([0, -1, 1.5, Number.NaN, '500', 2 ** 53])('%j is refused before any request', async (ttlMs) => {
    const lock = hold()
    await expect(lock.extend(ttlMs as number)).rejects.toBeInstanceOf(LockOptionError)
    expect(store.open).toEqual([])
  })
})

describe('a lock that is no longer ours', () => {
  test('says so when it was released', () => {
    const lock = hold()
    void lock.release()
    expect(() => lock.assertHeld()).toThrow(LockLostError)
    expect(() => lock.assertHeld()).toThrow('the lock "a" was released')
    expect(() => lock.serialize()).toThrow(LockLostError)
    expect(lock.remainingMs).toBe(0)
  })

  test('says why when it was lost', () => {
    const lock = hold()
    lease.lose('somebody took it')
    expect(() => lock.assertHeld()).toThrow('the lock "a" was lost: somebody took it')
    expect(() => lock.serialize()).toThrow(lease.lossError)
    expect(lock.remainingMs).toBe(0)
  })

  test('is found out by the clock alone', () => {
    const lock = hold()
    vi.spyOn(clock, 'now').mockReturnValue(clock.now() + TTL_MS)
    expect(() => lock.assertHeld()).toThrow('its lease of 30000 ms has ended')
    expect(lock.state).toBe('lost')
  })

  test('is still ours while the state is unknown', () => {
    const lock = hold()
    lease.doubt(new Error('no answer'))
    expect(lock.state).toBe('unknown')
    expect(() => lock.assertHeld()).not.toThrow()
    expect(lock.remainingMs).toBeGreaterThan(0)
  })
})

test('serialize() has what another process needs', () => {
  const lock = hold({ autoExtend: true })
  expect(parseSerialized(lock.serialize())).toEqual([{ name: 'a', id: ID, ttlMs: TTL_MS, autoExtend: true, fencingToken: 7 }])
})
