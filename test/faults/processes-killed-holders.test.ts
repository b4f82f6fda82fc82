import { expect, test } from 'vitest'
import { expectHeir, queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker, RemoteLock } from '../support/lock-worker.js'
import { IN_ORDER } from '../support/mode.mjs'
import { useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

/** P1: a holder is killed. The next waiter enters when its lease has ended on the server, not before, and at most 250 ms later. */

/** Each on a name of its own, all at once. */
const CASES = [
  { how: 'direct', ttlMs: 500 },
  { how: 'direct', ttlMs: 1_000 },
  { how: 'pushed', ttlMs: 500 },
  { how: 'pushed', ttlMs: 1_000 },
] as const

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

type Case = (typeof CASES)[number]
const nameOf = ({ how, ttlMs }: Case) => `${how} ${ttlMs}`

/** The lock as a process gets it at once, or pushed by the release of `other`. */
async function take(it: Case, worker: LockWorker, other: LockWorker): Promise<RemoteLock> {
  const name = nameOf(it)
  const options = { ttlMs: it.ttlMs }
  if (it.how === 'direct') return worker.acquire({ name, options })
  const first = await other.acquire({ name })
  const [lock] = await queueUp(observer, name, [{ worker, options }])
  await other.release(first.handle)
  return lock!
}

/** Kills the holder, and checks that `next` enters in time. Returns what that got. */
async function expectInheritance(name: string, holder: LockWorker, token: number, next: Promise<RemoteLock>): Promise<RemoteLock> {
  await holder.process.kill()
  return expectHeir(observer, { name, pid: holder.process.pid, token }, next)
}

test('the first of several waiters in several processes enters, then the others in turn', async () => {
  const [one, two, ...holders] = (await spawnCrew(redis, 2 + CASES.length, IN_ORDER)) as [LockWorker, LockWorker, ...LockWorker[]]
  const run = async (it: Case, holder: LockWorker) => {
    const name = nameOf(it)
    const { fencingToken } = await take(it, holder, one)
    const waiters = [one, two, one, two].map((worker, i) => ({ worker, handle: `${name} ${i}`, options: { ttlMs: it.ttlMs } }))
    const locks = await queueUp(observer, name, waiters)
    let last = await expectInheritance(name, holder, fencingToken, locks[0]!)
    for (const [i, lock] of locks.entries()) {
      if (i > 0) {
        expect((await lock).fencingToken).toBeGreaterThan(last.fencingToken)
        expect((await lock).atNs).toBeGreaterThan(last.atNs)
      }
      last = await lock
      await waiters[i]!.worker.release(last.handle)
    }
  }
  await Promise.all(CASES.map((it, i) => run(it, holders[i]!)))
  await redis.expectOnlyTokens()
})

test('a waiter that wants the lock for longer enters as soon', async () => {
  const [waiter, ...holders] = (await spawnCrew(redis, 1 + CASES.length)) as [LockWorker, ...LockWorker[]]
  const run = async (it: Case, holder: LockWorker) => {
    const { fencingToken } = await take(it, holder, waiter)
    const [lock] = await queueUp(observer, nameOf(it), [{ worker: waiter, options: { ttlMs: 30_000 } }])
    await expectInheritance(nameOf(it), holder, fencingToken, lock!)
  }
  await Promise.all(CASES.map((it, i) => run(it, holders[i]!)))
})

test('one after the other is killed, and each has its heir', async () => {
  const crew = await spawnCrew(redis, 5)
  const waiters = crew.slice(1).map((worker, i) => ({ worker, options: { ttlMs: [500, 1_000, 500, 500][i]! } }))
  let { fencingToken } = await crew[0]!.acquire({ name: 'n', options: { ttlMs: 500 } })
  const locks = await queueUp(observer, 'n', waiters)
  for (const [i, lock] of locks.entries()) ({ fencingToken } = await expectInheritance('n', crew[i]!, fencingToken, lock))
})

test('so is one that was granted a short lease ahead of a waiter with a long one', async () => {
  const [first, short, long] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
  const { handle } = await first.acquire({ name: 'n' })
  const [shortLock, longLock] = await queueUp(observer, 'n', [{ worker: short, options: { ttlMs: 500 } }, { worker: long }])
  await first.release(handle)
  const { fencingToken } = await shortLock!
  await expectInheritance('n', short, fencingToken, longLock!)
})
