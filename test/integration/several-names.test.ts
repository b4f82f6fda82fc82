import { describe, expect, test } from 'vitest'
import { errorOf, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'

/** One acquire of several names: all of them or none, and no two can block each other for ever. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

describe('several names', () => {
  test('are held as one lock, each once', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire(['y', 'x', 'y'])
    expect(lock).toMatchObject({ names: ['x', 'y'], name: 'x, y', state: 'held' })
    for (const name of ['x', 'y']) expect(await b.tryAcquire(name)).toBeNull()
    const { held } = await b.query()
    expect(lock.fencingToken).toBe(Math.max(...held.map(({ fencingToken }) => fencingToken ?? 0)))
    await expect(lock.release()).resolves.toEqual({ released: true })
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'already released' })
    for (const name of ['x', 'y']) expect(await b.tryAcquire(name)).not.toBeNull()
  })

  test('one name in a list is a lock like any other', async () => {
    const lock = await makeLocksmith().acquire(['x'])
    expect(lock).toMatchObject({ name: 'x', names: ['x'] })
  })

  test('work with tryAcquire and using', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await a.using(['x', 'y'], async (lock) => {
      expect(lock.names).toEqual(['x', 'y'])
      expect(await b.tryAcquire(['w', 'y'])).toBeNull()
      // What it could have had was given back.
      expect(await b.tryAcquire('w')).not.toBeNull()
    })
    expect(await b.tryAcquire(['x', 'y'])).not.toBeNull()
  })

  test('the loss of one is a loss of all, and the release says so but lets the others go', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire(['x', 'y'])
    const lost = new Promise((resolve) => lock.signal.addEventListener('abort', resolve, { once: true }))
    await b.forceRelease('y')
    await lost
    expect(lock.state).toBe('lost')
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', key: 'y' })
    expect(() => lock.assertHeld()).toThrow('"y"')
    expect(await b.tryAcquire('x')).toBeNull()
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
    expect(await b.tryAcquire('x')).not.toBeNull()
  })

  test('are kept and extended together', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire(['x', 'y'], { ttlMs: 1_200 })
    expect(await errorOf(b.acquire(['y'], { waitMs: 1_800 }))).toMatchObject({ code: 'LOCK_TIMEOUT' })
    await lock.extend(60_000)
    expect(lock.remainingMs).toBeGreaterThan(50_000)
  })
})

describe('when not all can be had', () => {
  test.each(['x', 'y'])('because %s is busy for waitMs, none is held', async (busy) => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const blocking = await a.acquire(busy)
    const startMs = performance.now()
    expect(await errorOf(b.acquire(['x', 'y'], { waitMs: 500 }))).toMatchObject({ code: 'LOCK_TIMEOUT', key: 'x, y' })
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(499)
    expect(await a.tryAcquire(busy === 'x' ? 'y' : 'x')).not.toBeNull()
    blocking.assertHeld()
    expect((await a.query()).pending).toEqual([])
  })

  test('because the signal aborts, none is held', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await a.acquire('y')
    const controller = new AbortController()
    const acquiring = b.acquire(['x', 'y'], { signal: controller.signal })
    await waitersOf(a, 'y')
    controller.abort('reason')
    expect(await errorOf(acquiring)).toBe('reason')
    await a.acquire('x', { waitMs: 2_000 })
    await waitersOf(a, 'y', 0)
  })

  test('because of a conflict, none is held', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await redis.command('SET', '__halocksmith:{y}', 'theirs')
    expect(await errorOf(b.acquire(['x', 'y']))).toMatchObject({ code: 'LOCK_CONFLICT', key: 'y' })
    expect(await a.tryAcquire('x')).not.toBeNull()
  })
})

test('opposite orders of overlapping names never block each other', async () => {
  const locksmiths = [makeLocksmith(), makeLocksmith(), makeLocksmith()]
  const orders = [
    ['a', 'b', 'c'],
    ['c', 'b', 'a'],
    ['b', 'c'],
    ['c', 'a'],
  ]
  const inside: string[] = []
  let overlaps = 0
  await Promise.all(
    Array.from({ length: 60 }, async (_, i) => {
      const names = orders[i % orders.length] as string[]
      await locksmiths[i % locksmiths.length]!.using(names, { waitMs: 15_000 }, async () => {
        if (names.some((name) => inside.includes(name))) overlaps += 1
        inside.push(...names)
        await new Promise((resolve) => setImmediate(resolve))
        for (const name of names) inside.splice(inside.indexOf(name), 1)
      })
    }),
  )
  expect([overlaps, inside]).toEqual([0, []])
  await redis.expectOnlyTokens()
})
