import { describe, expect, test } from 'vitest'
import { queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker, RemoteLock } from '../support/lock-worker.js'
import { ms, useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

/** P1: a holder is killed. The next waiter enters when its lease has ended on the server, not before, and at most 250 ms later. */

const LATE_MS = 250

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

/** The lock as a process gets it at once, or pushed by the release of `other`. */
async function take(how: string, worker: LockWorker, other: LockWorker, name: string, options: object): Promise<RemoteLock> {
  if (how === 'direct') return worker.acquire({ name, options })
  const first = await other.acquire({ name })
  const [lock] = await queueUp(observer, name, [{ worker, options }])
  await other.release(first.handle)
  return lock!
}

/** Kills whoever holds the name in `worker`, and checks that `next` enters in time. */
async function expectInheritance(name: string, worker: LockWorker, token: number, next: Promise<RemoteLock>): Promise<RemoteLock> {
  await worker.process.kill()
  const { notBeforeNs, notAfterNs } = await observer.leaseEnd(name, worker.process.pid)
  const heir = await next
  expect(heir.atNs).toBeGreaterThan(notBeforeNs)
  expect(heir.atNs).toBeLessThan(notAfterNs + ms(LATE_MS))
  expect(heir.fencingToken).toBeGreaterThan(token)
  return heir
}

describe.each([
  { how: 'direct', ttlMs: 500 },
  { how: 'direct', ttlMs: 1_000 },
  { how: 'pushed', ttlMs: 500 },
  { how: 'pushed', ttlMs: 1_000 },
])('a lock of $ttlMs ms that was $how', ({ how, ttlMs }) => {
  test('passes to the first of several waiters in several processes, and on', async () => {
    const [holder, one, two] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
    const options = { ttlMs }
    const { fencingToken } = await take(how, holder, one, 'n', options)
    const waiters = [one, two, one, two].map((worker, i) => ({ worker, handle: `w${i}`, options }))
    const locks = await queueUp(observer, 'n', waiters)
    let last = await expectInheritance('n', holder, fencingToken, locks[0]!)
    for (const [i, lock] of locks.slice(1).entries()) {
      await waiters[i]!.worker.release(`w${i}`)
      const { fencingToken: token, atNs } = await lock
      expect(token).toBeGreaterThan(last.fencingToken)
      expect(atNs).toBeGreaterThan(last.atNs)
      last = await lock
    }
    await two.release('w3')
    await redis.expectOnlyTokens()
  })

  test('passes to waiters that want it for longer', async () => {
    const [holder, waiter] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
    const { fencingToken } = await take(how, holder, waiter, 'n', { ttlMs })
    const [lock] = await queueUp(observer, 'n', [{ worker: waiter, options: { ttlMs: 30_000 } }])
    await expectInheritance('n', holder, fencingToken, lock!)
  })

  test('passes on from one that was killed to the next that is killed', async () => {
    const crew = await spawnCrew(redis, 4)
    const [first, ...others] = crew as [LockWorker, ...LockWorker[]]
    let { fencingToken } = await take(how, first, others[0]!, 'n', { ttlMs })
    const locks = await queueUp(
      observer,
      'n',
      others.map((worker) => ({ worker, options: { ttlMs } })),
    )
    for (const [i, lock] of locks.entries()) ({ fencingToken } = await expectInheritance('n', crew[i]!, fencingToken, lock))
  })
})

test('a short lease that is pushed ahead of waiters with long ones holds them up no longer than it lasts', async () => {
  const [first, short, long] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
  for (let round = 0; round < 3; round++) {
    const name = `n${round}`
    const lock = await first.acquire({ name })
    const [shortLock, longLock] = await queueUp(observer, name, [
      { worker: short, handle: name, options: { ttlMs: 500, autoExtend: false } },
      { worker: long, handle: name },
    ])
    await first.release(lock.handle)
    await shortLock
    const { notAfterNs } = await observer.leaseEnd(name, short.process.pid)
    const { atNs } = await longLock!
    expect(atNs).toBeLessThan(notAfterNs + ms(LATE_MS))
  }
})
