import { afterEach, describe, expect, test } from 'vitest'
import type { HeldLock, Locksmith } from '../../src/index.js'
import { errorOf, eventsOf, free, useLocksmiths } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'

/** What comes out of `using` is what the function made of it, whatever becomes of the lock meanwhile. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

const NAME = 'k'
/** What may happen to the lock inside, and the code of the problem that its release has then. */
const MISHAPS: Record<string, { happen: (lock: HeldLock, other: Locksmith) => unknown; code?: string; ttlMs?: number }> = {
  nothing: { happen: () => {} },
  'released inside': { happen: (lock) => lock.release() },
  'freed by force': { happen: (_lock, other) => other.forceRelease(NAME), code: 'LOCK_LOST' },
  'key deleted': { happen: () => redis.flush(), code: 'LOCK_LOST' },
  'lease over': {
    happen: (lock) => new Promise((resolve) => lock.signal.addEventListener('abort', resolve, { once: true })),
    code: 'LOCK_LOST',
    ttlMs: 150,
  },
  'server gone': { happen: () => redis.server.kill(), code: 'LOCK_LOST', ttlMs: 300 },
  // Without the rights that a release needs.
  'release refused': { happen: () => redis.command('ACL', 'SETUSER', 'default', '-evalsha', '-eval'), code: 'LOCK_UNAVAILABLE' },
}

afterEach(async () => {
  if (!redis.server.alive) await redis.server.start()
  await redis.command('ACL', 'SETUSER', 'default', '+@all')
})

const THROWN: [string, () => unknown][] = [
  ['an Error', () => new Error('mine')],
  ['an error of ours', () => Object.assign(new Error('mine'), { code: 'LOCK_LOST', releaseError: 'theirs' })],
  ['a string', () => 'text'],
  ['a frozen object', () => Object.freeze({ frozen: true })],
  ['undefined', () => undefined],
  ['null', () => null],
]

describe.each(Object.keys(MISHAPS))('%s', (mishap) => {
  const { happen, code, ttlMs = 30_000 } = MISHAPS[mishap]!
  const options = { ttlMs, autoExtend: false }

  test.each(THROWN)('%s that is thrown comes out', async (_, make) => {
    const [locksmith, other] = [makeLocksmith(), makeLocksmith()]
    await other.using('warm-up', () => {})
    const thrown = make()
    const before = thrown instanceof Error ? Object.keys(thrown) : []
    const outcome = await locksmith
      .using(NAME, options, async (lock) => {
        await happen(lock, other)
        throw thrown
      })
      .then(
        (value) => ({ value }),
        (error) => ({ error }),
      )
    expect(outcome).toHaveProperty('error')
    expect((outcome as { error: unknown }).error).toBe(thrown)
    if (!(thrown instanceof Error)) return
    expect(thrown.message).toBe('mine')
    // What is put beside it is not seen by whoever lists the error's properties.
    expect(Object.keys(thrown)).toEqual(before)
    const { releaseError } = thrown as { releaseError?: unknown }
    if (code === undefined) expect(releaseError).toBe((make() as { releaseError?: unknown }).releaseError)
    else expect(releaseError).toMatchObject({ code, key: NAME })
  })

  test('the result comes out, and a problem at the release is published', async () => {
    const [locksmith, other] = [makeLocksmith(), makeLocksmith()]
    await other.using('warm-up', () => {})
    const result = { some: 'result' }
    const warnings = await eventsOf('halocksmith:warning', async () => {
      const outcome = await locksmith.using(NAME, options, async (lock) => {
        await happen(lock, other)
        return result
      })
      expect(outcome).toBe(result)
    })
    expect(warnings.map((warning) => [warning.name, warning.code])).toEqual(code === undefined ? [] : [[NAME, code]])
  })
})

describe('using', () => {
  test('holds the lock while the function runs, however it ends', async () => {
    const [locksmith, other] = [makeLocksmith(), makeLocksmith()]
    const attempt = async () => {
      expect(await other.tryAcquire(NAME)).toBeNull()
    }
    await locksmith.using(NAME, attempt)
    await locksmith.using(NAME, { ttlMs: 5_000 }, attempt)
    await locksmith.mutex(NAME).using(attempt)
    const fails = async () => {
      await attempt()
      throw new Error('mine')
    }
    const fail = () => {
      throw new Error('mine')
    }
    for (const failing of [fails, fail]) expect(await errorOf(locksmith.using(NAME, failing))).toMatchObject({ message: 'mine' })
    await free(other, NAME)
    await redis.expectOnlyTokens()
  })

  test('takes a function that returns no promise', async () => {
    const locksmith = makeLocksmith()
    expect(await locksmith.using(NAME, () => 5)).toBe(5)
    expect(await locksmith.using(NAME, () => undefined)).toBeUndefined()
  })

  test('of a lock that can not be had does not call the function', async () => {
    const [locksmith, other] = [makeLocksmith(), makeLocksmith()]
    await other.acquire(NAME)
    let calls = 0
    const count = () => {
      calls += 1
    }
    expect(await errorOf(locksmith.using(NAME, { waitMs: 0 }, count))).toMatchObject({ code: 'LOCK_TIMEOUT' })
    expect(await errorOf(locksmith.using(NAME, { signal: AbortSignal.abort('reason') }, count))).toBe('reason')
    expect(calls).toBe(0)
  })

  test('nested in itself for another name releases each', async () => {
    const locksmith = makeLocksmith()
    const thrown = new Error('mine')
    const nested = locksmith.using('outer', () =>
      locksmith.using('inner', () => {
        throw thrown
      }),
    )
    expect(await errorOf(nested)).toBe(thrown)
    await redis.expectOnlyTokens()
  })
})
