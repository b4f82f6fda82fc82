import { expect, test } from 'vitest'
import { queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker, RemoteLock } from '../support/lock-worker.js'
import { IN_ORDER } from '../support/mode.mjs'
import { ms, useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** P3 and P5: a waiter stands still (SIGSTOP) when it is granted the lock. Then it is killed, or goes on and finds the message. */

const LATE_MS = 250
const CLAIM_WINDOW_MS = 5_000

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

interface MissedGrant {
  /** What the waiter's acquire comes to, when it goes on. */
  readonly acquired: Promise<RemoteLock>
  /** The token of the grant that it can't know of yet. */
  readonly missedToken: number
  /** What those behind it wait for. */
  readonly behind: Promise<RemoteLock>[]
}

/** Has `holder` release to `waiter`, which stands still; its claim is called after the name. Others queue up behind it before that. */
async function grantToStopped(
  name: string,
  holder: LockWorker,
  waiter: LockWorker,
  options: Record<string, unknown>,
  others: Parameters<typeof queueUp>[2] = [],
): Promise<MissedGrant> {
  await holder.acquire({ name, handle: 'first' })
  const [acquired, ...behind] = await queueUp(observer, name, [{ worker: waiter, handle: name, options }, ...others])
  await waiter.process.pause()
  await holder.release('first')
  const { fencingToken } = await observer.heldBy(name, waiter.process.pid)
  return { acquired: acquired!, missedToken: fencingToken ?? Number.NaN, behind }
}

async function killed(name: string, ttlMs: number, [holder, waiter, other]: LockWorker[]): Promise<void> {
  const options = { ttlMs }
  const { missedToken, behind } = await grantToStopped(name, holder!, waiter!, options, [{ worker: other!, options }])
  const { notBeforeNs, notAfterNs, expiresInMs } = await observer.leaseEnd(name, waiter!.process.pid)
  expect(expiresInMs, name).toBeLessThanOrEqual(Math.min(CLAIM_WINDOW_MS, ttlMs))
  await waiter!.process.kill()
  const { atNs, fencingToken } = await behind[0]!
  expect(atNs, name).toBeGreaterThan(notBeforeNs)
  expect(atNs, name).toBeLessThan(notAfterNs + ms(LATE_MS))
  expect(fencingToken, name).toBeGreaterThan(missedToken)
}

async function awokenTooLate(name: string, ttlMs: number, [holder, waiter, other]: LockWorker[]): Promise<void> {
  const options = { ttlMs }
  const { acquired, missedToken, behind } = await grantToStopped(name, holder!, waiter!, options, [
    { worker: other!, handle: 'inside', options },
    { worker: holder!, handle: 'behind', options },
  ])
  const [inside, last] = behind
  const { fencingToken: insideToken } = await inside!
  expect(insideToken, name).toBeGreaterThan(missedToken)
  waiter!.process.resume()
  // It has kept its place: before those who asked later.
  expect(await observer.queued(name, 2), name).toEqual([waiter!.process.pid, holder!.process.pid])
  const leavesNs = process.hrtime.bigint()
  await other!.release('inside')
  const { fencingToken, atNs } = await acquired
  expect(fencingToken, name).toBeGreaterThan(insideToken)
  expect(atNs, name).toBeGreaterThan(leavesNs)
  expect(await waiter!.look(name)).toMatchObject({ state: 'held', held: true })
  await waiter!.release(name)
  expect((await last!).fencingToken, name).toBeGreaterThan(fencingToken)
  await holder!.release('behind')
}

test('killed, it costs the claim window, or its lease if that is shorter; awake after that, it waits again and has its turn', async () => {
  const crew = await spawnCrew(redis, 12, IN_ORDER)
  await Promise.all([
    killed('killed, long', 30_000, crew.slice(0, 3)),
    killed('killed, short', 1_000, crew.slice(3, 6)),
    awokenTooLate('awoken, long', 30_000, crew.slice(6, 9)),
    awokenTooLate('awoken, short', 1_000, crew.slice(9)),
  ])
}, 60_000)

test('awake too late, with nobody else there, it is granted the lock anew', async () => {
  const [holder, waiter] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  const { acquired, missedToken } = await grantToStopped('n', holder, waiter, { ttlMs: 500 })
  await observer.free('n')
  waiter.process.resume()
  const { fencingToken } = await acquired
  expect(fencingToken).toBeGreaterThan(missedToken)
  expect(await waiter.look('n')).toMatchObject({ state: 'held', held: true })
  expect(await waiter.release('n')).toMatchObject({ released: true })
  await redis.expectOnlyTokens()
})

test('awake when its wait is over as well, it has timed out and leaves nothing behind', async () => {
  const WAIT_MS = 1_000
  const [holder, waiter, other] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
  const { acquired } = await grantToStopped('n', holder, waiter, { ttlMs: 500, waitMs: WAIT_MS })
  const stoppedMs = performance.now()
  const { fencingToken } = await other.acquire({ name: 'n', handle: 'theirs' })
  await until(() => performance.now() > stoppedMs + WAIT_MS, { what: 'its wait is over' })
  waiter.process.resume()
  await expect(acquired).rejects.toMatchObject({ name: 'LockTimeoutError', code: 'LOCK_TIMEOUT' })
  await observer.queued('n', 0)
  expect((await observer.look('n')).held).toMatchObject([{ pid: other.process.pid, fencingToken }])
  expect(await other.look('theirs')).toMatchObject({ state: 'held', held: true })
  await other.release('theirs')
  expect(await observer.look('n')).toEqual({ held: [], pending: [] })
})

test('awake in time, it enters by the grant that it missed, and keeps it', async () => {
  const [holder, waiter] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  const { acquired, missedToken } = await grantToStopped('n', holder, waiter, {})
  await observer.expiringWithin('n', waiter.process.pid, CLAIM_WINDOW_MS - 500)
  waiter.process.resume()
  expect((await acquired).fencingToken).toBe(missedToken)
  // Confirmed: its whole lease in the place of the claim window.
  await observer.renewed('n', waiter.process.pid, 25_000)
  expect(await waiter.look('n')).toMatchObject({ state: 'held', held: true })
})
