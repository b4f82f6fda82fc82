import { expect, test } from 'vitest'
import { queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker } from '../support/lock-worker.js'
import { ms, useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** P2 and P3: a waiter is killed, in the queue or when it has been granted the lock without knowing it. */

const LATE_MS = 250
const CLAIM_WINDOW_MS = 5_000

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

const listeners = async () => (await redis.clientList()).filter(({ sub }) => sub > 0).length

/** Kills processes, and resolves when the server knows it. */
async function killAll(workers: readonly LockWorker[]): Promise<void> {
  const before = await listeners()
  await Promise.all(workers.map((worker) => worker.process.kill()))
  await until(async () => (await listeners()) === before - workers.length, { what: 'their connections are closed' })
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
  const { notBeforeNs, notAfterNs } = await observer.leaseEnd('n', holder.process.pid)
  const entered = await lock!
  expect(entered.fencingToken).toBeGreaterThan(fencingToken)
  expect(entered.atNs).toBeGreaterThan(notBeforeNs)
  expect(entered.atNs).toBeLessThan(notAfterNs + ms(LATE_MS))
})

test('who claimed from a killed process beside its other claims is passed over with all of them', async () => {
  const [holder, dead, alive] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
  await holder.acquire({ name: 'n', handle: 'h' })
  const recipe = { kind: 'semaphore', limit: 2 } as const
  const locks = await queueUp(observer, 'n', [
    { worker: dead },
    { worker: dead, recipe },
    { worker: dead, recipe },
    { worker: alive, recipe },
    { worker: dead },
    { worker: alive, recipe },
  ])
  await killAll([dead])
  await holder.release('h')
  // The mutex in between is gone, and so are the limit's two permits that the dead would have had.
  expect(await observer.holders('n')).toEqual([alive.process.pid, alive.process.pid])
  await Promise.all([locks[3], locks[5]])
})

/** A waiter that stands still is granted the lock, which it can't know; then it is killed. */
async function killBetweenGrantAndWakeUp(name: string, ttlMs: number, crew: readonly LockWorker[]): Promise<number> {
  const [holder, victim, heir] = crew as [LockWorker, LockWorker, LockWorker]
  const { handle } = await holder.acquire({ name, options: { ttlMs } })
  const [, lock] = await queueUp(observer, name, [
    { worker: victim, options: { ttlMs } },
    { worker: heir, options: { ttlMs } },
  ])
  await victim.process.pause()
  await holder.release(handle)
  const [granted] = (await observer.look(name)).held
  expect(granted?.pid).toBe(victim.process.pid)
  const { notBeforeNs, notAfterNs, expiresInMs } = await observer.leaseEnd(name, victim.process.pid)
  await victim.process.kill()
  const { atNs, fencingToken } = await lock!
  expect(atNs).toBeGreaterThan(notBeforeNs)
  expect(atNs).toBeLessThan(notAfterNs + ms(LATE_MS))
  expect(fencingToken).toBeGreaterThan(granted?.fencingToken ?? Number.NaN)
  return expiresInMs
}

test('a waiter that is killed between its grant and its wake-up costs the claim window, or its lease if that is shorter', async () => {
  const crew = await spawnCrew(redis, 6)
  const [long, short] = await Promise.all([
    killBetweenGrantAndWakeUp('long', 30_000, crew.slice(0, 3)),
    killBetweenGrantAndWakeUp('short', 1_000, crew.slice(3)),
  ])
  expect(long).toBeLessThanOrEqual(CLAIM_WINDOW_MS)
  expect(short).toBeLessThanOrEqual(1_000)
})
