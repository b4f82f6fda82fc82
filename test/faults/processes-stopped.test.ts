import { expect, test } from 'vitest'
import { queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker } from '../support/lock-worker.js'
import { useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

/** P4: a holder stands still (SIGSTOP) until after its lease, then goes on. */

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

const TTL_MS = 600
const RESOURCE = 'resource'

/** A lock in `worker`, got at once or pushed by the release of `other`. */
async function take(how: string, worker: LockWorker, other: LockWorker): Promise<number> {
  const request = { handle: 'mine', options: { ttlMs: TTL_MS } }
  if (how === 'direct') return (await worker.acquire({ name: 'n', ...request })).fencingToken
  await other.acquire({ name: 'n', handle: 'first' })
  const [lock] = await queueUp(observer, 'n', [{ worker, ...request }])
  await other.release('first')
  return (await lock!).fencingToken
}

test.each(['direct', 'pushed'])('who held a lock that was %s knows that it is lost before it can act', async (how) => {
  const [one, two] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  const token = await take(how, one, two)
  await one.startProbe('mine')
  expect(await one.fencedWrite('mine', redis.port, RESOURCE, 'before')).toBe(true)

  await one.process.pause()
  const other = await two.acquire({ name: 'n', handle: 'theirs' })
  expect(other.fencingToken).toBeGreaterThan(token)
  expect(await two.fencedWrite('theirs', redis.port, RESOURCE, 'theirs')).toBe(true)
  // These are the first things that it finds when it goes on.
  const looked = one.look('mine')
  const written = one.fencedWrite('mine', redis.port, RESOURCE, 'after')
  const released = one.release('mine')
  one.process.resume()

  expect(await looked).toMatchObject({ state: 'lost', held: false, aborted: true, remainingMs: 0, error: { code: 'LOCK_LOST' } })
  expect(await written).toBe(false)
  expect(await released).toMatchObject({ released: false, reason: 'lost' })
  expect((await one.lost('mine')).error).toMatchObject({ code: 'LOCK_LOST' })
  // Once the other was inside, no look at any moment found the lock held.
  const samples = await one.stopProbe('mine')
  expect(samples.some(({ held }) => held)).toBe(true)
  expect(samples.filter(({ held, aborted, atNs }) => (held || !aborted) && atNs >= other.atNs)).toEqual([])

  // And nothing of all this has touched the other.
  expect(await two.look('theirs')).toMatchObject({ state: 'held', held: true })
  expect(await redis.command('HGET', RESOURCE, 'value')).toBe('theirs')
  expect(await two.release('theirs')).toMatchObject({ released: true })
  await redis.expectOnlyTokens('__halocksmith:')
})

test('its signal fires by itself, without a look at the lock', async () => {
  const [one, two] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  await take('direct', one, two)
  await one.process.pause()
  const other = await two.acquire({ name: 'n' })
  one.process.resume()
  const { error, atNs } = await one.lost('mine')
  expect(error).toMatchObject({ name: 'LockLostError', code: 'LOCK_LOST' })
  expect(atNs).toBeGreaterThan(other.atNs)
})

test('with nobody else there, it is lost all the same, and can be acquired anew', async () => {
  const [one, two] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  const token = await take('direct', one, two)
  await one.process.pause()
  await observer.free('n')
  const looked = one.look('mine')
  one.process.resume()
  expect(await looked).toMatchObject({ state: 'lost', held: false, aborted: true })
  expect(await one.release('mine')).toMatchObject({ released: false, reason: 'lost' })
  const again = await one.acquire({ name: 'n' })
  expect(again.fencingToken).toBeGreaterThan(token)
})

test('a stop that is shorter than the lease does no harm', async () => {
  const [one, two] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  const lock = await one.acquire({ name: 'n', handle: 'mine', options: { ttlMs: 2_000 } })
  const [next] = await queueUp(observer, 'n', [{ worker: two }])
  await one.process.pause()
  // It missed its first renewal at least.
  await observer.expiringWithin('n', one.process.pid, 1_000)
  one.process.resume()
  await observer.renewed('n', one.process.pid, 1_500)
  expect(await one.look('mine')).toMatchObject({ state: 'held', held: true, aborted: false })
  expect(await one.release('mine')).toMatchObject({ released: true })
  expect((await next!).fencingToken).toBeGreaterThan(lock.fencingToken)
})
