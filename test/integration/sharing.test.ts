import { describe, expect, test } from 'vitest'
import type { HeldLock } from '../../src/index.js'
import { errorOf, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { IN_ORDER } from '../support/mode.mjs'
import { useRedis } from '../support/redis.js'

/** Semaphores, read-write locks and priorities: who may be in at the same time, and who comes next. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

/** Writes down who enters. */
class Log {
  readonly entries: string[] = []
  async enter(who: string, acquiring: Promise<HeldLock>): Promise<HeldLock> {
    const lock = await acquiring
    this.entries.push(who)
    return lock
  }
}

describe('a semaphore', () => {
  test('lets in as many as it has permits', async () => {
    const [a, b] = [makeLocksmith().semaphore('s', 3), makeLocksmith().semaphore('s', 3)]
    expect(a).toMatchObject({ name: 's', limit: 3 })
    const one = await a.acquire()
    const two = await b.acquire({ permits: 2 })
    expect(await a.tryAcquire()).toBeNull()
    await one.release()
    expect(await b.tryAcquire({ permits: 2 })).toBeNull()
    const again = await a.tryAcquire()
    expect(again?.fencingToken).toBeGreaterThan(two.fencingToken)
  })

  test('gives all its permits to one, and to several of the same locksmith', async () => {
    const semaphore = makeLocksmith().semaphore('s', 3)
    const all = await semaphore.acquire({ permits: 3 })
    expect(await semaphore.tryAcquire()).toBeNull()
    await all.release()
    const locks = await Promise.all([semaphore.acquire(), semaphore.acquire(), semaphore.acquire()])
    expect(new Set(locks.map(({ fencingToken }) => fencingToken)).size).toBe(3)
  })

  test('lets nobody overtake who wants more', async () => {
    const locksmith = makeLocksmith()
    const semaphore = locksmith.semaphore('s', 3)
    const log = new Log()
    const first = await semaphore.acquire({ permits: 2 })
    const large = log.enter('large', semaphore.acquire({ permits: 3 }))
    await waitersOf(locksmith, 's', 1)
    const small = log.enter('small', semaphore.acquire())
    await waitersOf(locksmith, 's', 2)
    await first.release()
    await (await large).release()
    await (await small).release()
    expect(log.entries).toEqual(['large', 'small'])
  })

  test('runs a function while it has the permits', async () => {
    const semaphore = makeLocksmith().semaphore('s', 2)
    await semaphore.using({ permits: 2 }, async (lock) => {
      expect(lock.state).toBe('held')
      expect(await semaphore.tryAcquire()).toBeNull()
    })
    await semaphore.using(() => {})
    await redis.expectOnlyTokens()
  })

  test('is shown with its permits and limit', async () => {
    const locksmith = makeLocksmith()
    await locksmith.semaphore('s', 5).acquire({ permits: 2 })
    const waiting = errorOf(locksmith.semaphore('s', 5).acquire({ permits: 4 }))
    const [waiter] = await waitersOf(locksmith, 's')
    expect(waiter).toMatchObject({ mode: 'shared', permits: 4, limit: 5 })
    expect((await locksmith.query({ name: 's' })).held).toMatchObject([{ mode: 'shared', permits: 2, limit: 5 }])
    await locksmith.close()
    expect(await waiting).toMatchObject({ code: 'LOCK_CLOSED' })
  })

  test.each([
    [3, 5],
    [5, 3],
  ])('of %d conflicts with one of %d, and nobody is harmed', async (limit, other) => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const held = await a.semaphore('s', limit).acquire({ permits: limit })
    const waiting = a.semaphore('s', limit).acquire()
    await waitersOf(b, 's')
    const error = await errorOf(b.semaphore('s', other).acquire())
    expect(error).toMatchObject({ code: 'LOCK_CONFLICT', key: 's' })
    expect(error.message).toBe(`the name "s" is in use with the limit ${limit}; it was asked for with the limit ${other}`)
    expect(await errorOf(b.semaphore('s', other).tryAcquire())).toMatchObject({ code: 'LOCK_CONFLICT' })
    expect(await errorOf(b.readWriteLock('s').read.tryAcquire())).toMatchObject({ code: 'LOCK_CONFLICT' })
    held.assertHeld()
    await held.release()
    await (await waiting).release()
    // In use no more, the name may have another limit.
    await (await b.semaphore('s', other).acquire({ permits: other })).release()
    await redis.expectOnlyTokens()
  })

  test('and a mutex on the same name exclude each other, without a conflict', async () => {
    const locksmith = makeLocksmith()
    const lock = await locksmith.acquire('s')
    expect(await locksmith.semaphore('s', 3).tryAcquire()).toBeNull()
    await lock.release()
    const permit = await locksmith.semaphore('s', 3).acquire()
    expect(await locksmith.tryAcquire('s')).toBeNull()
    await permit.release()
  })
})

describe('a read-write lock', () => {
  test('lets in many readers or one writer', async () => {
    const [a, b] = [makeLocksmith().readWriteLock('rw'), makeLocksmith().readWriteLock('rw')]
    const readers = await Promise.all([a.read.acquire(), b.read.acquire(), a.read.acquire()])
    expect(await a.write.tryAcquire()).toBeNull()
    for (const reader of readers) await reader.release()
    const writer = await b.write.acquire()
    expect(await a.read.tryAcquire()).toBeNull()
    expect(await a.write.tryAcquire()).toBeNull()
    await writer.release()
    expect(await a.read.tryAcquire()).not.toBeNull()
  })

  test('is strictly first come, first served between readers and writers', async () => {
    const locksmith = makeLocksmith(IN_ORDER)
    const other = makeLocksmith(IN_ORDER)
    const log = new Log()
    const first = await locksmith.readWriteLock('rw').read.acquire()
    const steps = [
      ['writer 1', other.readWriteLock('rw').write],
      ['reader 1', locksmith.readWriteLock('rw').read],
      ['reader 2', other.readWriteLock('rw').read],
      ['writer 2', locksmith.readWriteLock('rw').write],
      ['reader 3', locksmith.readWriteLock('rw').read],
    ] as const
    const entering: Promise<HeldLock>[] = []
    for (const [i, [who, recipe]] of steps.entries()) {
      entering.push(log.enter(who, recipe.acquire()))
      await waitersOf(locksmith, 'rw', i + 1)
    }
    // A waiting writer stops a reader that could go in at once.
    expect(await locksmith.readWriteLock('rw').read.tryAcquire()).toBeNull()
    await first.release()
    const writer = await entering[0]!
    expect(log.entries).toEqual(['writer 1'])
    await writer.release()
    const readers = [await entering[1]!, await entering[2]!]
    expect(log.entries.toSorted()).toEqual(['reader 1', 'reader 2', 'writer 1'])
    for (const reader of readers) await reader.release()
    await (await entering[3]!).release()
    await (await entering[4]!).release()
    expect(log.entries.slice(3)).toEqual(['writer 2', 'reader 3'])
    await redis.expectOnlyTokens()
  })

  test('shows readers without a limit', async () => {
    const locksmith = makeLocksmith()
    await locksmith.readWriteLock('rw').read.acquire()
    expect((await locksmith.query({ name: 'rw' })).held).toMatchObject([{ mode: 'shared', permits: 1, limit: null }])
  })

  test('conflicts with a semaphore while the name is in use', async () => {
    const locksmith = makeLocksmith()
    const reader = await locksmith.readWriteLock('rw').read.acquire()
    expect((await errorOf(locksmith.semaphore('rw', 2).acquire())).message).toBe(
      'the name "rw" is in use without a limit (by readers); it was asked for with the limit 2',
    )
    reader.assertHeld()
  })
})

test('higher priorities go first, equal ones by arrival', async () => {
  const [a, b] = [makeLocksmith(IN_ORDER), makeLocksmith(IN_ORDER)]
  const log = new Log()
  const first = await a.acquire('k')
  const claims = [
    ['0 first', b, 0],
    ['-5', a, -5],
    ['7 first', a, 7],
    ['0 second', a, 0],
    ['7 second', b, 7],
    ['1000000', a, 1_000_000],
  ] as const
  const done: Promise<unknown>[] = []
  for (const [i, [who, locksmith, priority]] of claims.entries()) {
    done.push(log.enter(who, locksmith.acquire('k', { priority })).then((lock) => lock.release()))
    await waitersOf(a, 'k', i + 1)
  }
  const { pending } = await a.query({ name: 'k' })
  expect(pending.map(({ priority }) => priority)).toEqual([1_000_000, 7, 7, 0, 0, -5])
  expect(pending.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5, 6])
  await first.release()
  await Promise.all(done)
  expect(log.entries).toEqual(['1000000', '7 first', '7 second', '0 first', '0 second', '-5'])
})
