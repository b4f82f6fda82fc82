import { expect, test } from 'vitest'
import { queueUp, spawnCrew, useCrew } from '../support/contention.js'
import type { LockWorker } from '../support/lock-worker.js'
import { ms, useObserver } from '../support/observer.js'
import { useRedis } from '../support/redis.js'

/** Fencing tokens across processes, and a lock that is handed from one process to another. */

const redis = useRedis()
const observer = useObserver(redis)
const crewOf = useCrew(redis, 3)

test('tokens of one name grow over all processes and all kinds of claims', async () => {
  const crew = crewOf()
  const recipes = [undefined, { kind: 'read' }, { kind: 'semaphore', limit: 5, permits: 2 }, { kind: 'write' }] as const
  const tokens: number[] = []
  for (let i = 0; i < 120; i++) {
    const worker = crew[i % 3]!
    const { handle, fencingToken } = await worker.acquire({ name: 'n', recipe: recipes[i % 4] })
    tokens.push(fencingToken)
    await worker.release(handle)
  }
  expect(tokens.every((token, i) => i === 0 || token > tokens[i - 1]!)).toBe(true)
  expect(tokens.every(Number.isSafeInteger)).toBe(true)
})

test('the token keeps those out who come late, whoever they are', async () => {
  const crew = crewOf()
  const write = (worker: LockWorker) => worker.fencedWrite('mine', redis.port, 'resource', `${worker.process.pid}`)
  for (const [i, worker] of crew.entries()) {
    await worker.acquire({ name: 'n', handle: 'mine' })
    expect(await write(worker)).toBe(true)
    await worker.release('mine')
    for (const earlier of crew.slice(0, i)) expect(await write(earlier)).toBe(false)
  }
  expect(await redis.command('HGET', 'resource', 'value')).toBe(`${crew[2]!.process.pid}`)
})

test('a lock is handed over to another process, which keeps it when the first one is killed', async () => {
  const [one] = (await spawnCrew(redis, 1)) as [LockWorker]
  const [two, other] = crewOf(2) as [LockWorker, LockWorker]
  const { fencingToken } = await one.acquire({ name: 'n', handle: 'mine', options: { ttlMs: 600 } })
  const [next] = await queueUp(observer, 'n', [{ worker: other }])
  const restored = await two.restore(await one.serialize('mine'), 'theirs')
  expect(restored).toMatchObject({ name: 'n', names: ['n'], fencingToken, state: 'held' })
  await two.startProbe('theirs')
  await one.process.kill()
  const { notAfterNs } = await observer.leaseEnd('n', one.process.pid)
  // A lease longer than the first process could have kept it.
  await observer.pastNs(notAfterNs + ms(600))
  const samples = await two.stopProbe('theirs')
  expect(samples.filter(({ held, aborted }) => !held || aborted)).toEqual([])
  expect((await observer.look('n')).held).toMatchObject([{ fencingToken }])
  const leavesNs = process.hrtime.bigint()
  expect(await two.release('theirs')).toMatchObject({ released: true })
  const { fencingToken: later, atNs } = await next!
  expect(later).toBeGreaterThan(fencingToken)
  expect(atNs).toBeGreaterThan(leavesNs)
})

test('what the new process does with it, the old one learns', async () => {
  const [one, two] = crewOf(2) as [LockWorker, LockWorker]
  await one.acquire({ name: 'n', handle: 'handed over', options: { ttlMs: 600 } })
  await two.restore(await one.serialize('handed over'), 'theirs')
  expect(await two.release('theirs')).toMatchObject({ released: true })
  expect(await one.release('handed over')).toMatchObject({ released: false, reason: 'lost' })
  expect((await one.lost('handed over')).error).toMatchObject({ code: 'LOCK_LOST' })
  await redis.expectOnlyTokens()
})

test('several locks are handed over as one', async () => {
  const [one, two, other] = crewOf() as [LockWorker, LockWorker, LockWorker]
  const { fencingToken, names } = await one.acquire({ name: ['b', 'a'], handle: 'mine' })
  const restored = await two.restore(await one.serialize('mine'), 'theirs')
  expect(restored).toMatchObject({ fencingToken, names })
  expect(await other.tryAcquire({ name: 'a' })).toBeNull()
  expect(await other.tryAcquire({ name: 'b' })).toBeNull()
  expect(await two.release('theirs')).toMatchObject({ released: true })
  expect(await other.tryAcquire({ name: ['a', 'b'] })).not.toBeNull()
})

test('a lock that has ended, or was released, is not brought back', async () => {
  const [one] = (await spawnCrew(redis, 1)) as [LockWorker]
  const [two, other] = crewOf(2) as [LockWorker, LockWorker]
  await one.acquire({ name: 'ended', handle: 'ended', options: { ttlMs: 300 } })
  await one.acquire({ name: 'released', handle: 'released' })
  const [ended, released] = await Promise.all([one.serialize('ended'), one.serialize('released')])
  await one.release('released')
  await one.process.kill()
  await observer.free('ended')
  for (const serialized of [ended, released]) {
    await expect(two.restore(serialized)).rejects.toMatchObject({ name: 'LockLostError', code: 'LOCK_LOST' })
  }
  // Nor taken from who has it since.
  const { fencingToken } = await other.acquire({ name: 'ended', handle: 'theirs' })
  await expect(two.restore(ended)).rejects.toMatchObject({ code: 'LOCK_LOST' })
  expect((await observer.look('ended')).held).toMatchObject([{ pid: other.process.pid, fencingToken }])
})
