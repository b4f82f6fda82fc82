import { expect, test } from 'vitest'
import { queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker } from '../support/lock-worker.js'
import { useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

/** Claims of different processes are granted in the order in which they queued up; by priority first. */

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

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
  const crew = await spawnCrew(redis, 4)
  const claims = Array.from({ length: 24 }, (_, i) => ({ worker: crew[(i * 7) % 4]!, handle: `claim ${i}`, options: {} }))
  expect(await orderOfGrants(crew[0]!, claims)).toEqual(claims.map(({ handle }) => handle))
})

test('a higher priority goes first, equal ones go by arrival', async () => {
  const crew = await spawnCrew(redis, 4)
  const priorities = [0, 5, -3, 0, 10, 5, -3, 1_000_000, 0, -1_000_000, 10, 0]
  const claims = priorities.map((priority, i) => ({
    worker: crew[i % 4]!,
    handle: `claim ${i}`,
    options: priority === 0 ? {} : { priority },
  }))
  const expected = [...claims].sort((a, b) => (b.options.priority ?? 0) - (a.options.priority ?? 0))
  expect(await orderOfGrants(crew[0]!, claims)).toEqual(expected.map(({ handle }) => handle))
})

test('a claim that comes while the lock is handed on does not get in between', async () => {
  const [one, two, three] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
  let { handle } = await one.acquire({ name: 'n' })
  let last = 0
  for (let round = 0; round < 50; round++) {
    const [waiting] = await queueUp(observer, 'n', [{ worker: two }])
    // At the same moment: the release, a single attempt, and a claim that would wait.
    const [, single, late] = await Promise.all([
      one.release(handle),
      three.tryAcquire({ name: 'n' }),
      (async () => three.acquire({ name: 'n', handle: `late ${round}` }))(),
      waiting!.then((lock) => two.release(lock.handle)),
    ])
    const { fencingToken } = await waiting!
    expect(fencingToken).toBeGreaterThan(last)
    expect(late.fencingToken).toBeGreaterThan(fencingToken)
    if (single) {
      expect(single.fencingToken).toBeGreaterThan(fencingToken)
      await three.release(single.handle)
    }
    last = late.fencingToken
    await three.release(`late ${round}`)
    ;({ handle } = await one.acquire({ name: 'n' }))
  }
})
