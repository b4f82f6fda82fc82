import { expect, test } from 'vitest'
import { queueUp, useCrew } from '../support/contention.js'
import type { LockWorker, RemoteLock } from '../support/lock-worker.js'
import { IN_ORDER } from '../support/mode.mjs'
import { useObserver } from '../support/observer.js'
import { useRedis } from '../support/redis.js'

/** Claims of different processes are granted in the order in which they queued up; by priority first. */

const redis = useRedis()
const observer = useObserver(redis)
const crewOf = useCrew(redis, 4, IN_ORDER)

interface Queued {
  worker: LockWorker
  handle: string
  options: { priority?: number }
}

/** Queues claims up behind a holder, lets each have its turn, and returns their handles in the order of grants. */
async function orderOfGrants(holder: LockWorker, claims: readonly Queued[]): Promise<string[]> {
  await holder.acquire({ name: 'n', handle: 'first' })
  const locks = await queueUp(observer, 'n', claims)
  const turns = locks.map(async (promise, i) => {
    const { fencingToken, atNs, handle } = await promise
    await claims[i]!.worker.release(handle)
    return { fencingToken, atNs, handle }
  })
  await holder.release('first')
  const granted = (await Promise.all(turns)).sort((a, b) => a.fencingToken - b.fencingToken)
  // They also entered in that order.
  expect(granted.map(({ atNs }) => atNs)).toEqual(granted.map(({ atNs }) => atNs).sort((a, b) => Number(a - b)))
  await redis.expectOnlyTokens()
  return granted.map(({ handle }) => handle)
}

test('first come, first served, whichever process asks', async () => {
  const crew = crewOf()
  const claims = Array.from({ length: 24 }, (_, i) => ({ worker: crew[(i * 7) % 4]!, handle: `claim ${i}`, options: {} }))
  expect(await orderOfGrants(crew[0]!, claims)).toEqual(claims.map(({ handle }) => handle))
})

test('a higher priority goes first, equal ones go by arrival', async () => {
  const crew = crewOf()
  const priorities = [0, 5, -3, 0, 10, 5, -3, 1_000_000, 0, -1_000_000, 10, 0]
  const claims = priorities.map((priority, i) => ({
    worker: crew[i % 4]!,
    handle: `claim ${i}`,
    options: priority === 0 ? {} : { priority },
  }))
  const expected = [...claims].sort((a, b) => (b.options.priority ?? 0) - (a.options.priority ?? 0))
  expect(await orderOfGrants(crew[0]!, claims)).toEqual(expected.map(({ handle }) => handle))
})

test('claims that come while the lock is handed on do not get in between', async () => {
  const [one, two, three] = crewOf(3) as [LockWorker, LockWorker, LockWorker]
  for (let round = 0; round < 30; round++) {
    const first = await one.acquire({ name: 'n' })
    const [waiting] = await queueUp(observer, 'n', [{ worker: two }])
    // At the same moment: the release, a single attempt, and a claim that waits.
    const [, single, late, next] = await Promise.all([
      one.release(first.handle),
      releaseAtOnce(three, three.tryAcquire({ name: 'n' })),
      releaseAtOnce(three, three.acquire({ name: 'n' })),
      releaseAtOnce(two, waiting!),
    ])
    expect(next.fencingToken).toBeGreaterThan(first.fencingToken)
    expect(late.fencingToken).toBeGreaterThan(next.fencingToken)
    if (single) expect(single.fencingToken).toBeGreaterThan(next.fencingToken)
  }
})

async function releaseAtOnce<T extends RemoteLock | null>(worker: LockWorker, promise: Promise<T>): Promise<T> {
  const lock = await promise
  if (lock) await worker.release(lock.handle)
  return lock
}
