import { describe, expect, test } from 'vitest'
import halocksmith, { HALocksmith, type LockFunction, type Release } from '../../src/index.js'
import { useLegacy } from '../support/legacy.js'
import { errorOf, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** The contract of 2013: callbacks, seconds, and the words of its errors. */

const redis = useRedis()
const spawnWorker = useWorkers()
const makeLocksmith = useLocksmiths(redis)
const makeLock = useLegacy(redis)

/** What a callback was called with, and a promise of it. */
function call(lock: LockFunction, key?: string): Promise<{ error: any; release: Release; args: unknown[] }> {
  return new Promise((resolve) => {
    const callback = (...args: unknown[]) => resolve({ error: args[0], release: args[1] as Release, args })
    if (key === undefined) lock(callback)
    else lock(key, callback)
  })
}

/** What the callback of a release was called with. */
const releaseWith = (release: Release): Promise<unknown[]> =>
  new Promise((resolve) => {
    void release((...args: unknown[]) => resolve(args)).catch(() => {})
  })

const lost = (release: Release) => new Promise((resolve) => release.signal.addEventListener('abort', resolve, { once: true }))

describe('a lock', () => {
  test('is given to a callback, with a function that lets it go', async () => {
    const lock = makeLock()
    const { args, release } = await call(lock, 'k')
    expect(args).toEqual([null, expect.any(Function)])
    expect(release.length).toBe(1)
    expect(Number.isSafeInteger(release.fencingToken)).toBe(true)
    expect(release.signal.aborted).toBe(false)
    expect(await redis.keys()).toEqual(['__halocksmith:{k}'])
    expect(await releaseWith(release)).toEqual([null])
    await redis.expectOnlyTokens()
  })

  test('is asked for without a value to return', () => {
    expect(makeLock()('k', () => {})).toBeUndefined()
  })

  test('excludes others, and comes to them in their order', async () => {
    const [a, b] = [makeLock(), makeLock()]
    const { release } = await call(a, 'k')
    const order: string[] = []
    const entering = [b, a, makeLock()].map(async (lock, i) => {
      const entered = await call(lock, 'k')
      order.push(`${i}`)
      await entered.release()
    })
    await waitersOf(makeLocksmith(), 'k', 3)
    expect(order).toEqual([])
    await release()
    await Promise.all(entering)
    expect(order).toHaveLength(3)
  })

  test('may be of no name: the key left out', async () => {
    const [a, b] = [makeLock(), makeLock({ retries: 0 })]
    const { release } = await call(a)
    expect((await call(b, '')).error.message).toBe('maximum retries hit while aquiring lock for: ')
    expect((await call(b)).error.message).toBe('maximum retries hit while aquiring lock for: ')
    await release()
    expect((await call(b)).error).toBeNull()
  })

  test('is a lock of the modern API as well', async () => {
    const lock = makeLock()
    const { release } = await call(lock, 'k')
    const { held } = await lock.locksmith.query({ name: 'k' })
    expect(held[0]?.fencingToken).toBe(release.fencingToken)
    expect(await makeLocksmith().tryAcquire('k')).toBeNull()
  })
})

describe('the promise', () => {
  test('resolves to the release', async () => {
    const lock = makeLock()
    const release = await lock('k')
    expect(release.length).toBe(1)
    await expect(release()).resolves.toBeUndefined()
    await (await lock()).call(undefined)
    await redis.expectOnlyTokens()
  })

  test('rejects with the words of 2013, and a code beside', async () => {
    const lock = makeLock({ retries: 0 })
    await lock('k')
    expect(await errorOf(lock('k'))).toMatchObject({
      message: 'maximum retries hit while aquiring lock for: k',
      code: 'LOCK_TIMEOUT',
      key: 'k',
    })
  })

  test('of a release can be disposed of, as `await using` does it', async () => {
    const lock = makeLock()
    const release = await lock('k')
    await release[Symbol.asyncDispose]()
    expect(await makeLocksmith().tryAcquire('k')).not.toBeNull()
  })
})

describe('seconds', () => {
  test.each([
    [undefined, 120],
    [20, 20],
    [7.5, 7.5],
    [100_000, 100_000],
  ])('timeout %d is a lease of %d s, which is not renewed', async (timeout, seconds) => {
    const lock = makeLock(timeout === undefined ? {} : { timeout })
    await lock('k')
    const { held } = await lock.locksmith.query({ name: 'k' })
    expect(held[0]?.expiresInMs).toBeLessThanOrEqual(seconds * 1_000)
    expect(held[0]?.expiresInMs).toBeGreaterThan(seconds * 1_000 - 5_000)
  })

  test('a lock that is not let go ends with its lease', async () => {
    const lock = makeLock({ timeout: 0.3 })
    const release = await lock('k')
    const fired = lost(release)
    const next = await makeLocksmith().acquire('k')
    await fired
    expect(release.signal.reason).toMatchObject({ code: 'LOCK_LOST' })
    expect(next.fencingToken).toBeGreaterThan(release.fencingToken)
  })

  test('one that was waited for lasts as long as one that was not', async () => {
    const lock = makeLock({ timeout: 100 })
    const first = await lock('k')
    const waiting = lock('k')
    await waitersOf(lock.locksmith, 'k')
    await first()
    await waiting
    // The grant stands for a claim window only, until it is confirmed.
    await until(async () => ((await lock.locksmith.query({ name: 'k' })).held[0]?.expiresInMs ?? 0) > 90_000)
  })
})

describe('waiting', () => {
  test('with 0 retries is exactly one attempt', async () => {
    const [a, b] = [makeLock(), makeLock({ retries: 0 })]
    await b('warm-up')
    await a('k')
    const { result, calls } = await redis.countCommands(() => call(b, 'k'))
    expect(result.args).toHaveLength(1)
    expect(result.error.message).toBe('maximum retries hit while aquiring lock for: k')
    expect(calls.evalsha).toBe(1)
    expect((await a.locksmith.query()).pending).toEqual([])
  })

  test.each([
    [{ retries: 3, retryTimeout: 200 }, 600],
    [{ retries: 1, retryTimeout: 500 }, 500],
    [{ retries: Number.POSITIVE_INFINITY, retryTimeout: 0 }, 0],
    [{ retries: 5, retryTimeout: 0 }, 0],
  ])('%j lasts %d ms', async (options, ms) => {
    const [a, b] = [makeLock(), makeLock(options)]
    await b('warm-up')
    await a('k')
    const startMs = performance.now()
    const { error } = await call(b, 'k')
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(ms - 1)
    expect(performance.now() - startMs).toBeLessThan(ms + 3_000)
    expect(error).toMatchObject({ message: 'maximum retries hit while aquiring lock for: k', code: 'LOCK_TIMEOUT' })
  })

  test('does not poll', async () => {
    const [a, b] = [makeLock(), makeLock({ retries: 1_000, retryTimeout: 1 })]
    await b('warm-up')
    const release = await a('k')
    const { calls } = await redis.countCommands(async () => {
      const waiting = call(b, 'k')
      await waitersOf(a.locksmith, 'k')
      await release()
      expect((await waiting).error).toBeNull()
    })
    // Asked, looked at by this test, released, confirmed.
    expect(calls.evalsha).toBeLessThan(30)
  })
})

describe('release', () => {
  test('after the lease calls back with the words of 2013, and frees nobody else', async () => {
    const [a, b] = [makeLock({ timeout: 0.2 }), makeLock()]
    const { release } = await call(a, 'k')
    const next = await b('k')
    const [error, ...rest] = (await releaseWith(release)) as [any]
    expect(rest).toEqual([])
    expect(error).toMatchObject({ message: 'you released your lock after expiration on key: k', code: 'LOCK_LOST', key: 'k' })
    expect(await makeLocksmith().tryAcquire('k')).toBeNull()
    expect(next.signal.aborted).toBe(false)
    expect(await releaseWith(next)).toEqual([null])
  })

  test('rejects with the same, but never unhandled', async () => {
    const lock = makeLock({ timeout: 0.1 })
    const release = await lock('k')
    await lost(release)
    void release()
    expect(await errorOf(release())).toMatchObject({ message: 'you released your lock after expiration on key: k' })
  })

  test('again does nothing, and answers the same', async () => {
    const [a, b] = [makeLock(), makeLock()]
    const { release } = await call(a, 'k')
    const answers = await Promise.all([releaseWith(release), releaseWith(release)])
    const next = await b('k')
    expect([...answers, await releaseWith(release)]).toEqual([[null], [null], [null]])
    expect(await makeLocksmith().tryAcquire('k')).toBeNull()
    await next()
  })

  test('needs no callback', async () => {
    const lock = makeLock()
    const { release } = await call(lock, 'k')
    void release()
    expect((await call(lock, 'k')).error).toBeNull()
  })
})

describe('a callback', () => {
  test('is called exactly once for each lock, and for each release', async () => {
    const lock = makeLock()
    const counts = new Map<string, number>()
    const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1)
    await Promise.all(
      Array.from(
        { length: 30 },
        (_, i) =>
          new Promise<void>((resolve) => {
            lock(`k${i % 5}`, (error, release) => {
              count(`lock ${i} ${error}`)
              void release?.((releaseError) => {
                count(`release ${i} ${releaseError}`)
                resolve()
              })
            })
          }),
      ),
    )
    await lock.close()
    expect(counts.size).toBe(60)
    expect(new Set(counts.values())).toEqual(new Set([1]))
  })

  test('is told of a wrong key, and a wrong callback is told at once', async () => {
    const lock = makeLock() as any
    for (const key of ['x'.repeat(513), '\ud800', 'x'.repeat(600)])
      expect((await call(lock, key)).error).toMatchObject({ code: 'LOCK_OPTION' })
    for (const callback of [5, 'x', {}, null]) expect(() => lock('k', callback)).toThrow('callback must be a function')
  })

  test('may name its key by what is no text, which is joined to the prefix as in 2013', async () => {
    const lock = makeLock() as any
    const { release } = await call(lock, 5 as any)
    expect(await lock.locksmith.tryAcquire('5')).toBeNull()
    await release()
  })

  test('is told that the lock function was closed', async () => {
    const lock = makeLock()
    const { release } = await call(lock, 'k')
    await lock.close()
    expect((await call(lock, 'k')).error).toMatchObject({ code: 'LOCK_CLOSED' })
    expect(await releaseWith(release)).toHaveLength(1)
  })

  test.each([
    ['throws with the lock', ['uncaughtException mine']],
    ['throws without the lock', ['uncaughtException mine']],
    ['throws at the release', ['uncaughtException mine']],
    ['throws at a late release', ['uncaughtException mine']],
    ['releases late without a callback', []],
    ['releases late with something that is no callback', []],
  ])('that %s: the process sees %j', async (scenario, seen) => {
    const worker = spawnWorker('callbacks.cjs', {}, { env: { REDIS_ADDRESS: `${redis.host}:${redis.port}`, SCENARIO: scenario } })
    expect((await worker.next('done')).seen).toEqual(seen)
    expect(await worker.exited).toEqual({ code: 0, signal: null })
  })
})

describe('HALocksmith', () => {
  test('is the same as a class', async () => {
    const smith = new HALocksmith({ nodes: [redis.port], retries: 0 })
    const { release } = await call(smith.lock, 'k')
    expect((await call(smith.lock, 'k')).error.message).toBe('maximum retries hit while aquiring lock for: k')
    expect(smith.locksmith).toBe(smith.lock.locksmith)
    expect(await releaseWith(release)).toEqual([null])
    await smith.close()
    expect(await errorOf(smith.lock('k'))).toMatchObject({ code: 'LOCK_CLOSED' })
  })
})

test('the factory is what the package exports by default', () => {
  expect(halocksmith.length).toBe(1)
})
