import { expect, test } from 'vitest'
import { expectHeir, queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker } from '../support/lock-worker.js'
import { useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

/** P8: a process ends by itself, without a word to its locks. Neither a lock that is held nor one that is waited for keeps it alive. */

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

const endedWell = { code: 0, signal: null }

/** Lets a process go, and resolves when it has ended by itself. */
async function leave(worker: LockWorker): Promise<void> {
  worker.leave()
  expect(await worker.process.exited).toEqual(endedWell)
  expect(worker.process.output).toBe('')
}

test('while it holds: its lease ends, and the next waiter enters', async () => {
  const [one, two] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  const { fencingToken } = await one.acquire({ name: 'n', options: { ttlMs: 1_000 } })
  const [next] = await queueUp(observer, 'n', [{ worker: two }])
  await leave(one)
  await expectHeir(observer, { name: 'n', pid: one.process.pid, token: fencingToken }, next!)
})

test('while it waits: the order of the others stays', async () => {
  const crew = await spawnCrew(redis, 5)
  const [holder, ...waiters] = crew as [LockWorker, ...LockWorker[]]
  await holder.acquire({ name: 'n', handle: 'h' })
  const locks = await queueUp(
    observer,
    'n',
    waiters.map((worker) => ({ worker, handle: 'h' })),
  )
  const [, second, , last] = waiters as [LockWorker, LockWorker, LockWorker, LockWorker]
  await leave(waiters[0]!)
  await leave(waiters[2]!)
  await holder.release('h')
  expect(await observer.holders('n')).toEqual([second.process.pid])
  const { fencingToken } = await locks[1]!
  await second.release('h')
  expect(await observer.holders('n')).toEqual([last.process.pid])
  expect((await locks[3]!).fencingToken).toBeGreaterThan(fencingToken)
  await last.release('h')
  await redis.expectOnlyTokens()
})

test('while it holds one lock and waits for another: both end', async () => {
  const [one, two] = (await spawnCrew(redis, 2)) as [LockWorker, LockWorker]
  await one.acquire({ name: 'held', options: { ttlMs: 500 } })
  await two.acquire({ name: 'waited for', handle: 'w' })
  const waiting = await queueUp(observer, 'waited for', [{ worker: one }])
  await leave(one)
  await expect(waiting[0]).rejects.toThrow('has ended (0)')
  await observer.free('held')
  await two.release('w')
  expect(await observer.holders('waited for')).toEqual([])
  // Whoever comes next finds both free, and clears away what was left.
  for (const name of ['held', 'waited for']) {
    const { handle } = await two.acquire({ name })
    await two.release(handle)
  }
  await redis.expectOnlyTokens()
})

test('closed before: what it held is free at once, and its waiters are gone', async () => {
  const [one, two, three] = (await spawnCrew(redis, 3)) as [LockWorker, LockWorker, LockWorker]
  await one.acquire({ name: 'a', handle: 'a' })
  await two.acquire({ name: 'b', handle: 'b' })
  const [, next] = await queueUp(observer, 'b', [{ worker: one, handle: 'b' }, { worker: three }])
  const [waiting] = await queueUp(observer, 'a', [{ worker: three }])
  await one.close()
  expect(await observer.holders('a')).toEqual([three.process.pid])
  expect(await observer.queued('b', 1)).toEqual([three.process.pid])
  await leave(one)
  await two.release('b')
  await Promise.all([waiting, next])
})
