import { expect, test } from 'vitest'
import { queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker, Recipe } from '../support/lock-worker.js'
import { useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

/** Programs that do not agree: on the limit of a semaphore, or on how long a lease is. */

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

const of = (limit: number): Recipe => ({ kind: 'semaphore', limit })
const reader: Recipe = { kind: 'read' }
const conflict = { name: 'LockConflictError', code: 'LOCK_CONFLICT' }

test('another limit while the semaphore is held is a conflict for who comes with it, and harms nobody', async () => {
  const [one, two] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  await one.acquire({ name: 'n', recipe: of(2), handle: 'a' })
  for (const recipe of [of(1), of(3), reader]) {
    await expect(two.acquire({ name: 'n', recipe })).rejects.toMatchObject(conflict)
    await expect(two.tryAcquire({ name: 'n', recipe })).rejects.toMatchObject(conflict)
  }
  // The limit that was there first still counts.
  await one.acquire({ name: 'n', recipe: of(2), handle: 'b' })
  expect(await two.tryAcquire({ name: 'n', recipe: of(2) })).toBeNull()
  expect(await one.look('a')).toMatchObject({ state: 'held', held: true })
  expect(await one.release('a')).toMatchObject({ released: true })
  expect(await one.release('b')).toMatchObject({ released: true })
  await redis.expectOnlyTokens()
  // Free again, the name takes any limit.
  await two.acquire({ name: 'n', recipe: of(3), handle: 'c' })
  await two.release('c')
  await redis.expectOnlyTokens()
})

test('so it is while claims wait, and those who wait are not harmed', async () => {
  const [one, two, three] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
  await one.acquire({ name: 'n', handle: 'mutex' })
  const [first, last] = await queueUp(observer, 'n', [
    { worker: two, recipe: of(2), handle: 'a' },
    { worker: one, handle: 'mutex again' },
  ])
  await expect(three.acquire({ name: 'n', recipe: of(3) })).rejects.toMatchObject(conflict)
  await expect(three.acquire({ name: 'n', recipe: reader, options: { priority: 1 } })).rejects.toMatchObject(conflict)
  // A claim on all of it names no limit.
  const [mutex] = await queueUp(observer, 'n', [{ worker: three, handle: 'mutex' }])
  await one.release('mutex')
  const { fencingToken } = await first!
  expect(await observer.holders('n')).toEqual([two.process.pid])
  await two.release('a')
  expect((await last!).fencingToken).toBeGreaterThan(fencingToken)
  await one.release('mutex again')
  await mutex
  await three.release('mutex')
  await redis.expectOnlyTokens()
})

test.each([
  { kind: 'readers', recipe: reader },
  { kind: 'claims on a semaphore', recipe: { kind: 'semaphore', limit: 3 } as Recipe },
])('of $kind, a short lease beside long ones shortens neither, however it ends', async ({ recipe }) => {
  // Longer than what is left of a free name stays.
  const LONG_MS = 2 * 3_600_000
  const [before, short, after, other] = (await spawnCrew(redis, 4)) as [LockWorker, LockWorker, LockWorker, LockWorker]
  const long = { ttlMs: LONG_MS, autoExtend: false }
  for (const end of ['released', 'expired', 'renewed', 'killed']) {
    const name = end
    await before.acquire({ name, recipe, handle: 'before', options: long })
    const ttlMs = end === 'renewed' ? 1_500 : 300
    await short.acquire({ name, recipe, handle: 'short', options: { ttlMs, autoExtend: end === 'renewed' } })
    await after.acquire({ name, recipe, handle: 'after', options: long })
    if (end === 'released') await short.release('short')
    if (end === 'killed') await short.process.kill()
    if (end === 'renewed') {
      await observer.expiringWithin(name, short.process.pid, 1_200)
      await observer.renewed(name, short.process.pid, 1_250)
      await short.release('short')
    }
    await observer.heldByOnly(name, [before.process.pid, after.process.pid])
    expect(await other.tryAcquire({ name })).toBeNull()
    for (const worker of [before, after]) {
      const { expiresInMs } = await observer.leaseEnd(name, worker.process.pid)
      expect(expiresInMs).toBeGreaterThan(LONG_MS * 0.9)
    }
    // The keys outlive what is in them.
    for (const { ttlMs } of await redis.leftovers(`__halocksmith:{${name}}`)) expect(ttlMs).toBeGreaterThan(LONG_MS * 0.9)
    expect(await before.look('before')).toMatchObject({ state: 'held', held: true })
    // Nor does asking for less than is left.
    await before.extend('before', 50)
    expect((await observer.leaseEnd(name, before.process.pid)).expiresInMs).toBeGreaterThan(LONG_MS * 0.9)
    expect(await before.release('before')).toMatchObject({ released: true })
    expect(await other.tryAcquire({ name })).toBeNull()
    expect(await after.release('after')).toMatchObject({ released: true })
  }
  await redis.expectOnlyTokens()
})
