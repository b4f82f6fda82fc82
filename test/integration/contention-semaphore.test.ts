import { expect, test } from 'vitest'
import { cycle, expectNoTrouble, queueUp, spawnCrew, tempFile, useCrew } from '../support/contention.js'
import { checkIntervals, type HistoryRecord, readHistory } from '../support/history.js'
import type { LockWorker } from '../support/lock-worker.js'
import { serverWaiters } from '../support/mode.mjs'
import { useObserver } from '../support/observer.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** A semaphore of four that many processes share, and what becomes of its permits when some of them are killed. */

const LIMIT = 4

const redis = useRedis()
const observer = useObserver(redis)
const crewOf = useCrew(redis, 6)

const permits = (count: number) => ({ kind: 'semaphore', limit: LIMIT, permits: count }) as const

/** Whether all permits can be had at once: none has leaked. Leaves nothing behind. */
async function expectAllPermits(worker: LockWorker): Promise<void> {
  const lock = await worker.acquire({ name: 'n', recipe: permits(LIMIT) })
  expect((await observer.look('n')).held).toMatchObject([{ permits: LIMIT, limit: LIMIT, pid: worker.process.pid }])
  await worker.release(lock.handle)
  await redis.expectOnlyTokens()
}

test('claims on one permit each: never more than four inside, and at times all four', async () => {
  const crew = crewOf(5)
  const witnessFile = tempFile('witness')
  const job = { names: ['n'], recipe: permits(1), claims: 2, cycles: 120, workMs: 2, witnessFile }
  expectNoTrouble(await cycle(crew, () => job))
  expect(checkIntervals(readHistory(witnessFile), LIMIT)).toEqual({ entries: 5 * 120, maxInside: LIMIT, violations: [] })
  await expectAllPermits(crew[0]!)
})

test('claims on one to three permits: never more than four in use, and all claims have their turns', async () => {
  const crew = crewOf()
  const witnessFile = tempFile('witness')
  const job = { names: ['n'], claims: 2, cycles: 60, workMs: 1, witnessFile }
  expectNoTrouble(await cycle(crew, (i) => ({ ...job, recipe: permits(1 + (i % 3)) })))
  expect(checkIntervals(readHistory(witnessFile), LIMIT)).toEqual({ entries: 6 * 60, maxInside: LIMIT, violations: [] })
  await expectAllPermits(crew[0]!)
})

test('a claim on many permits is not overtaken by smaller ones that would fit', async () => {
  const [one, two, three] = crewOf(3) as [LockWorker, LockWorker, LockWorker]
  await one.acquire({ name: 'n', recipe: permits(2), handle: 'a' })
  const [large, small] = await queueUp(observer, 'n', [
    { worker: two, recipe: permits(3), handle: 'large' },
    { worker: three, recipe: permits(1), handle: 'small' },
  ])
  expect(await three.tryAcquire({ name: 'n', recipe: permits(1) })).toBeNull()
  await one.release('a')
  const [{ fencingToken: first }, { fencingToken: second }] = await Promise.all([large!, small!])
  expect(second).toBeGreaterThan(first)
  await Promise.all([two.release('large'), three.release('small')])
  await expectAllPermits(one)
})

test('processes that are killed inside keep their permits until their leases end, and not longer', async () => {
  const [first, second] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  const [survivor, ...others] = crewOf(4) as [LockWorker, ...LockWorker[]]
  const witnessFile = tempFile('witness')
  await survivor.acquire({ name: 'n', recipe: permits(1), handle: 'survivor' })
  const victims = [
    { worker: first, recipe: permits(2) },
    { worker: second, recipe: permits(1) },
  ]
  const job = { names: ['n'], options: { ttlMs: 1_000 }, witnessFile }
  for (const { worker, recipe } of victims) void cycle([worker], () => ({ ...job, recipe, cycles: 1, workMs: 60_000 }))
  const held = await until(
    () => {
      const history = readHistory(witnessFile)
      return history.length === victims.length && history
    },
    { what: 'both are inside' },
  )
  const reports = cycle(others, (i) => ({ ...job, recipe: permits(1 + (i % 2)), claims: 2, cycles: 50, workMs: 1 }))
  await observer.queued('n', serverWaiters(others.length, 2))
  await Promise.all(victims.map(({ worker }) => worker.process.kill()))
  // Dead, they are inside until the server's word for it ends.
  const endedAtNs = new Map<string, bigint>()
  for (const { worker } of victims) {
    const { holder } = held.find((record) => record.holder.startsWith(`${worker.process.pid}.`)) as HistoryRecord
    endedAtNs.set(holder, (await observer.leaseEnd('n', worker.process.pid)).notBeforeNs)
  }
  // Three permits are there for the others as long as the survivor is inside, then all four.
  await until(() => readHistory(witnessFile).length > 20, { what: 'the others come and go' })
  expect(await survivor.release('survivor')).toMatchObject({ released: true })
  expectNoTrouble(await reports)
  expect(checkIntervals(readHistory(witnessFile), LIMIT, endedAtNs).violations).toEqual([])
  await expectAllPermits(others[0]!)
})

test('processes that are killed as they come leak no permits', async () => {
  const victims = await spawnCrew(redis, 3)
  const others = crewOf(3)
  const witnessFile = tempFile('witness')
  const job = { names: ['n'], claims: 4, options: { ttlMs: 500 }, witnessFile }
  void cycle(victims, (i) => ({ ...job, recipe: permits(1 + i), forMs: 60_000 }))
  const reports = cycle(others, () => ({ ...job, recipe: permits(1), cycles: 200 }))
  // Each at a moment of its own, wherever its eight claims are then: inside, in the queue, on their way in or out.
  for (const [i, worker] of victims.entries()) {
    const seen = readHistory(witnessFile).length
    await until(() => readHistory(witnessFile).length > seen + 40 * (i + 1), { what: 'more has happened' })
    await worker.process.kill()
  }
  expectNoTrouble(await reports)
  await expectAllPermits(others[0]!)
})
