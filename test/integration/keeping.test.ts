import { describe, expect, test } from 'vitest'
import { LockLostError } from '../../src/index.js'
import { errorOf, free, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** How long a lock is held: renewals, their ends, release, loss and force. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

/** Resolves when the signal has fired, with when. */
function firing(signal: AbortSignal): Promise<number> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(performance.now())
    signal.addEventListener('abort', () => resolve(performance.now()), { once: true })
  })
}

describe('renewal', () => {
  test('keeps a lock with a short lease for several leases', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire('k', { ttlMs: 1_000 })
    // Whoever waited for more than two leases would have got it, had it not been kept all the time.
    expect(await errorOf(b.acquire('k', { waitMs: 2_200 }))).toMatchObject({ code: 'LOCK_TIMEOUT' })
    expect(lock.state).toBe('held')
    await expect(lock.release()).resolves.toEqual({ released: true })
  })

  test('that is not wanted ends the lock with its lease, and the signal fires before the next one enters', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await b.using('warm-up', () => {})
    const lock = await a.acquire('k', { ttlMs: 200, autoExtend: false })
    const fired = firing(lock.signal)
    const next = await b.acquire('k')
    const enteredAtMs = performance.now()
    expect(await fired).toBeLessThan(enteredAtMs)
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken)
    expect(lock.state).toBe('lost')
    expect(lock.signal.reason).toBeInstanceOf(LockLostError)
  })

  test('ends so that the lock is over after maxHoldMs', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await b.using('warm-up', () => {})
    const lock = await a.acquire('k', { ttlMs: 700, maxHoldMs: 1_500 })
    const startMs = performance.now()
    const fired = firing(lock.signal)
    const next = await b.acquire('k')
    const heldMs = performance.now() - startMs
    // Longer than a lease, so it was renewed; a lease's last third may be missing.
    expect(heldMs).toBeGreaterThan(900)
    expect((await fired) - startMs).toBeLessThan(heldMs)
    expect((await fired) - startMs).toBeLessThan(3_000)
    await next.release()
  })

  test('asks for no longer a lease than maxHoldMs', async () => {
    const lock = await makeLocksmith().acquire('k', { maxHoldMs: 400 })
    expect(lock.remainingMs).toBeLessThanOrEqual(400)
  })
})

describe('minHoldMs', () => {
  test('lets others in no sooner, though the release resolves at once', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await b.using('warm-up', () => {})
    const lock = await a.acquire('k', { minHoldMs: 400 })
    const grantedAtMs = performance.now()
    await expect(lock.release()).resolves.toEqual({ released: true })
    expect(await b.tryAcquire('k')).toBeNull()
    await b.acquire('k')
    expect(performance.now() - grantedAtMs).toBeGreaterThan(395)
  })

  test('costs nothing once it is over', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire('k', { minHoldMs: 30 })
    const grantedAtMs = performance.now()
    await until(() => performance.now() - grantedAtMs > 35)
    await lock.release()
    expect(await b.tryAcquire('k')).not.toBeNull()
  })

  test('holds beyond the lease if need be', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await b.using('warm-up', () => {})
    const lock = await a.acquire('k', { ttlMs: 150, minHoldMs: 600 })
    const grantedAtMs = performance.now()
    await lock.release()
    await b.acquire('k')
    expect(performance.now() - grantedAtMs).toBeGreaterThan(595)
  })
})

describe('extend', () => {
  test('makes the lease longer here and there', async () => {
    const locksmith = makeLocksmith()
    const lock = await locksmith.acquire('k', { ttlMs: 5_000, autoExtend: false })
    await lock.extend(60_000)
    expect(lock.remainingMs).toBeGreaterThan(50_000)
    const { held } = await locksmith.query({ name: 'k' })
    expect(held[0]?.expiresInMs).toBeGreaterThan(50_000)
    await lock.extend(1_000)
    expect(lock.remainingMs).toBeGreaterThan(50_000)
  })

  test.each(['released', 'forced', 'flushed'])('after it was %s rejects with LOCK_LOST, and re-creates nothing', async (how) => {
    const locksmith = makeLocksmith()
    const lock = await locksmith.acquire('k')
    if (how === 'released') await lock.release()
    if (how === 'forced') await makeLocksmith().forceRelease('k')
    if (how === 'flushed') await redis.flush()
    expect(await errorOf(lock.extend())).toMatchObject({ code: 'LOCK_LOST', key: 'k' })
    expect(await errorOf(lock.extend())).toMatchObject({ code: 'LOCK_LOST', key: 'k' })
    expect(() => lock.assertHeld()).toThrow(LockLostError)
    await redis.expectOnlyTokens()
  })
})

describe('release', () => {
  test('twice, at once or one after the other', async () => {
    const lock = await makeLocksmith().acquire('k')
    expect(await Promise.all([lock.release(), lock.release()])).toEqual([{ released: true }, { released: true }])
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'already released' })
    expect([lock.state, lock.remainingMs]).toEqual(['released', 0])
  })

  test('twice does not free the next holder', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire('k')
    await lock.release()
    const next = await b.acquire('k')
    await lock.release()
    await lock[Symbol.asyncDispose]()
    expect(await a.tryAcquire('k')).toBeNull()
    next.assertHeld()
  })

  test('after a loss says so, and does not free the next holder', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire('k', { ttlMs: 100, autoExtend: false })
    const next = await b.acquire('k')
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
    expect(await a.tryAcquire('k')).toBeNull()
    await expect(next.release()).resolves.toEqual({ released: true })
  })

  test('of a lock whose key is gone says so', async () => {
    const lock = await makeLocksmith().acquire('k')
    await redis.flush()
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', key: 'k' })
    expect(await redis.keys()).toEqual([])
  })

  test('after close says that it was released', async () => {
    const locksmith = makeLocksmith()
    const lock = await locksmith.acquire('k')
    await locksmith.close()
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'already released' })
    expect(await errorOf(lock.extend())).toMatchObject({ code: 'LOCK_LOST' })
  })
})

describe('forceRelease', () => {
  test("fires the victims' signals quickly, and lets the next in", async () => {
    const [a, b, operator] = [makeLocksmith(), makeLocksmith(), makeLocksmith()]
    await operator.using('warm-up', () => {})
    const victim = await a.acquire('k')
    const fired = firing(victim.signal)
    const waiting = b.acquire('k')
    await waitersOf(operator, 'k')
    const startMs = performance.now()
    await expect(operator.forceRelease('k')).resolves.toBe(1)
    const next = await waiting
    // Without being told it would learn of it at its next renewal, after ten seconds.
    expect((await fired) - startMs).toBeLessThan(5_000)
    expect(victim.signal.reason).toMatchObject({ code: 'LOCK_LOST', key: 'k' })
    expect(next.fencingToken).toBeGreaterThan(victim.fencingToken)
    await expect(victim.release()).resolves.toEqual({ released: false, reason: 'lost' })
    next.assertHeld()
  })

  test('removes every holder, and says how many', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const semaphore = a.semaphore('k', 5)
    const victims = [await semaphore.acquire({ permits: 2 }), await semaphore.acquire(), await b.semaphore('k', 5).acquire()]
    const fired = victims.map(({ signal }) => firing(signal))
    await expect(b.forceRelease('k')).resolves.toBe(3)
    await Promise.all(fired)
    expect(victims.map(({ state }) => state)).toEqual(['lost', 'lost', 'lost'])
    await free(b, 'k')
    await redis.expectOnlyTokens()
  })

  test('of a free lock is nothing', async () => {
    const locksmith = makeLocksmith()
    await expect(locksmith.forceRelease('nobody')).resolves.toBe(0)
    expect(await redis.keys()).toEqual([])
  })
})

test('a lock that was flushed away is found lost at the next renewal', async () => {
  const lock = await makeLocksmith().acquire('k', { ttlMs: 1_500 })
  const fired = firing(lock.signal)
  await redis.flush()
  await fired
  expect(lock.signal.reason.message).toContain('the server no longer has it')
})
