import { describe, expect, test } from 'vitest'
import type { AcquireOptions, Locksmith } from '../../src/index.js'
import { createLocksmith, isLockError, LockOptionError } from '../../src/index.js'
import { errorOf, useLocksmiths } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'

/** What is wrong is told before any command: the server must not even see a connection. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

const refused = (error: unknown, option: string): void => {
  expect(error).toBeInstanceOf(LockOptionError)
  expect(isLockError(error, 'LOCK_OPTION')).toBe(true)
  expect((error as LockOptionError).option).toBe(option)
}

/** Runs `work` with a locksmith that has not been used, and expects that the server heard nothing. */
async function withoutCommand(work: (locksmith: Locksmith) => unknown): Promise<void> {
  const locksmith = makeLocksmith()
  const { total } = await redis.countCommands(() => work(locksmith))
  expect(total).toBe(0)
  expect(await redis.clientList()).toEqual([])
}

const WRONG: [string, unknown][] = [
  ...[-1, Number.NaN, 1.5, '100', Number.POSITIVE_INFINITY, 2 ** 53, null].map((value): [string, unknown] => ['ttlMs', value]),
  ...[-1, Number.NaN, 1.5, '100', 2 ** 53, null].map((value): [string, unknown] => ['waitMs', value]),
  ...[Number.NaN, 1.5, '1', 2 ** 53, null].map((value): [string, unknown] => ['priority', value]),
  ...[-1, Number.NaN, 1.5, '1', 0, null].map((value): [string, unknown] => ['maxHoldMs', value]),
  ...[-1, Number.NaN, 1.5, '1', Number.POSITIVE_INFINITY, null].map((value): [string, unknown] => ['minHoldMs', value]),
  ['permits', 2],
  ['autoExtend', 'yes'],
  ['signal', {}],
  ...[-1, Number.NaN, 1.5, '1', 101, null].map((value): [string, unknown] => ['minReplicas', value]),
  ['metadata', { a: 1 }],
  ['timeout', 100],
]

describe('a wrong option of an acquire', () => {
  test.each(WRONG)('%s: %j', async (option, value) => {
    const options = { [option]: value } as AcquireOptions
    await withoutCommand(async (locksmith) => {
      const errors = [
        await errorOf(locksmith.acquire('a', options)),
        await errorOf(locksmith.acquire(['a', 'b'], options)),
        await errorOf(locksmith.tryAcquire('a', options)),
        await errorOf(locksmith.using('a', options, () => {})),
        await errorOf(locksmith.mutex('a', options).acquire()),
        await errorOf(locksmith.mutex('a').tryAcquire(options)),
        await errorOf(locksmith.readWriteLock('a', options).read.acquire()),
        await errorOf(locksmith.readWriteLock('a').write.using(options, () => {})),
      ]
      if (option !== 'permits') errors.push(await errorOf(locksmith.semaphore('a', 5).acquire(options)))
      for (const error of errors) refused(error, option === 'metadata' ? 'metadata.a' : option)
      for (const error of errors) if (typeof value === 'number') expect(error.message).toContain(`got ${value}`)
    })
  })

  test.each([
    [{ minHoldMs: 200, maxHoldMs: 100 }, 'minHoldMs'],
    [{ ttlMs: 10 }, 'ttlMs'],
  ])('relations: %j', async (options, option) => {
    await withoutCommand(async (locksmith) => refused(await errorOf(locksmith.acquire('a', options)), option))
  })
})

describe('a wrong semaphore', () => {
  test.each([0, -1, 1.5, '2', Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, null, undefined])('limit: %j', async (limit) => {
    await withoutCommand((locksmith) => {
      expect(() => locksmith.semaphore('a', limit as number)).toThrow(LockOptionError)
    })
  })

  test.each([0, -1, 1.5, '2', Number.NaN, Number.POSITIVE_INFINITY, 4, null])('permits: %j of 3', async (permits) => {
    await withoutCommand(async (locksmith) => {
      const semaphore = locksmith.semaphore('a', 3)
      const options = { permits: permits as number }
      refused(await errorOf(semaphore.acquire(options)), 'permits')
      refused(await errorOf(semaphore.tryAcquire(options)), 'permits')
      refused(await errorOf(semaphore.using(options, () => {})), 'permits')
    })
  })
})

describe('a wrong name', () => {
  test.each([undefined, null, 5, Symbol('s'), {}, () => 'a', 'x'.repeat(513), '\ud800', 'a\udfff', 'ä'.repeat(257)])('%s', async (name) => {
    await withoutCommand(async (locksmith) => {
      const wrong = name as string
      refused(await errorOf(locksmith.acquire(wrong)), 'name')
      refused(await errorOf(locksmith.acquire(['a', wrong])), 'name')
      refused(await errorOf(locksmith.tryAcquire(wrong)), 'name')
      refused(await errorOf(locksmith.using(wrong, () => {})), 'name')
      refused(await errorOf(locksmith.forceRelease(wrong)), 'name')
      expect(() => locksmith.mutex(wrong)).toThrow(LockOptionError)
      expect(() => locksmith.semaphore(wrong, 2)).toThrow(LockOptionError)
      expect(() => locksmith.readWriteLock(wrong)).toThrow(LockOptionError)
      if (name !== undefined) {
        refused(await errorOf(locksmith.query({ name: wrong })), 'name')
        refused(await errorOf(locksmith.query({ prefix: wrong })), 'prefix')
      }
    })
  })

  test('an empty list', async () => {
    await withoutCommand(async (locksmith) => refused(await errorOf(locksmith.acquire([])), 'names'))
  })
})

describe('other wrong arguments', () => {
  test('of using, query and restore', async () => {
    await withoutCommand(async (locksmith) => {
      const wrong = locksmith as any
      refused(await errorOf(wrong.using('a')), 'fn')
      refused(await errorOf(wrong.using('a', {})), 'fn')
      refused(await errorOf(wrong.using('a', {}, 'fn')), 'fn')
      refused(await errorOf(wrong.mutex('a').using()), 'fn')
      refused(await errorOf(wrong.semaphore('a', 2).using({ permits: 1 })), 'fn')
      refused(await errorOf(wrong.query({ names: 'a' })), 'names')
      refused(await errorOf(wrong.query(null)), 'filter')
      refused(await errorOf(wrong.restore('x')), 'serialized')
      refused(await errorOf(wrong.restore(undefined)), 'serialized')
    })
  })

  test('of createLocksmith', () => {
    const wrong = [{ ttlMs: 5 }, { waitMs: '5' }, { retries: 3 }, { nodes: [] }, { url: 'x' }, { client: 5 }, { prefix: '{}' }, 5, null]
    for (const options of wrong) expect(() => createLocksmith(options as object)).toThrow(LockOptionError)
  })
})

describe('an options object', () => {
  test('may be frozen, is used as often as one likes, and is not changed', async () => {
    const options = Object.freeze({ ttlMs: 5_000, waitMs: 10_000, metadata: Object.freeze({ who: 'me' }) })
    const copy = structuredClone(options)
    const locksmith = makeLocksmith(Object.freeze({ prefix: 'p:', redis: Object.freeze({ name: 'app' }) }))
    for (const name of ['a', 'b']) {
      await locksmith.using(name, options, () => {})
      await locksmith.mutex(name, options).using(options, () => {})
      await locksmith.semaphore(name, 2, options).using(Object.freeze({ ...options, permits: 2 }), () => {})
      await (await locksmith.readWriteLock(name, options).read.acquire(options)).release()
    }
    expect(options).toEqual(copy)
  })
})

test('the longest lease and wait that are allowed work', async () => {
  const yearMs = 365 * 24 * 3_600_000
  const lock = await makeLocksmith({ ttlMs: yearMs, waitMs: yearMs }).acquire('a', { maxHoldMs: yearMs })
  expect(lock.remainingMs).toBeGreaterThan(yearMs - 10_000)
  await expect(lock.release()).resolves.toEqual({ released: true })
  await redis.expectOnlyTokens()
})
