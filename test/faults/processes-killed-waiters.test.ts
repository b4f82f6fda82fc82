import { expect, test } from 'vitest'
import { expectHeir, listeners, queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker } from '../support/lock-worker.js'
import { IN_ORDER } from '../support/mode.mjs'
import { useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** P2: a waiter is killed in the queue. Its connections are closed, so that the server knows at once that nobody hears its grant. */

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

/** Kills processes, and resolves when the server knows it. */
async function killAll(workers: readonly LockWorker[]): Promise<void> {
  const before = await listeners(redis)
  await Promise.all(workers.map((worker) => worker.process.kill()))
  await until(async () => (await listeners(redis)) === before - workers.length, { what: 'their connections are closed' })
}

test('killed waiters are passed over in the very release that would have been theirs, the others keep their order', async () => {
  const crew = await spawnCrew(redis, 7)
  const [holder, ...waiters] = crew as [LockWorker, ...LockWorker[]]
  await holder.acquire({ name: 'n', handle: 'h' })
  const locks = await queueUp(
    observer,
    'n',
    waiters.map((worker) => ({ worker, handle: 'h' })),
  )
  // Two at the head of the queue, and one in its middle.
  const dead = [0, 1, 3]
  await killAll(dead.map((i) => waiters[i]!))
  let releasing = holder
  let lastToken = 0
  for (const [i, worker] of waiters.entries()) {
    if (dead.includes(i)) continue
    expect(await releasing.release('h')).toMatchObject({ released: true })
    expect(await observer.holders('n')).toEqual([worker.process.pid])
    const { fencingToken } = await locks[i]!
    expect(fencingToken).toBeGreaterThan(lastToken)
    lastToken = fencingToken
    releasing = worker
  }
  await releasing.release('h')
  await redis.expectOnlyTokens()
})

test('a killed waiter holds nobody up when the holder was killed as well', async () => {
  const [holder, dead, heir] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
  const options = { ttlMs: 1_000 }
  const { fencingToken } = await holder.acquire({ name: 'n', options })
  const [, lock] = await queueUp(observer, 'n', [
    { worker: dead, options },
    { worker: heir, options },
  ])
  await killAll([dead, holder])
  await expectHeir(observer, { name: 'n', pid: holder.process.pid, token: fencingToken }, lock!)
})

test('of a killed process with several claims, each is passed over in its turn', async () => {
  const [holder, dead, alive] = (await spawnCrew(redis, 3, IN_ORDER)) as [LockWorker, LockWorker, LockWorker]
  await holder.acquire({ name: 'n', handle: 'h' })
  const recipe = { kind: 'semaphore', limit: 2 } as const
  const locks = await queueUp(observer, 'n', [
    { worker: dead },
    { worker: dead, recipe },
    { worker: dead, recipe },
    { worker: alive, recipe },
    { worker: dead, recipe },
    { worker: alive, recipe },
  ])
  await killAll([dead])
  await holder.release('h')
  expect(await observer.holders('n')).toEqual([alive.process.pid, alive.process.pid])
  await Promise.all([locks[3], locks[5]])
})

test.each([
  { claim: 'a writer', recipe: { kind: 'write' }, others: { kind: 'read' } },
  { claim: 'a claim on many permits', recipe: { kind: 'semaphore', limit: 4, permits: 4 }, others: { kind: 'semaphore', limit: 4 } },
] as const)('$claim that was killed keeps nobody out who fits beside the present holders', async ({ recipe, others }) => {
  const [inside, dead, behind, late] = (await spawnCrew(redis, 4)) as [LockWorker, LockWorker, LockWorker, LockWorker]
  await inside.acquire({ name: 'n', recipe: others })
  const [, next] = await queueUp(observer, 'n', [
    { worker: dead, recipe },
    { worker: behind, recipe: others },
  ])
  expect(await late.tryAcquire({ name: 'n', recipe: others })).toBeNull()
  await killAll([dead])
  // The next request, whoever makes it, moves the queue on.
  const lock = await late.tryAcquire({ name: 'n', recipe: others })
  expect(lock?.fencingToken).toBeGreaterThan((await next!).fencingToken)
})
