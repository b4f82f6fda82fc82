import { expect, test } from 'vitest'
import { queueUp, spawnCrew } from '../support/contention.js'
import type { LockWorker } from '../support/lock-worker.js'
import { useObserver } from '../support/observer.js'
import { useWorkers, type Worker } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

/** P6: the event loop of a holder stands still, because its critical section computes for long. */

const redis = useRedis()
const observer = useObserver(redis)
const spawnWorker = useWorkers()

interface Case {
  how: 'direct' | 'pushed'
  ttlMs: number
  busyMs: number
}

const nameOf = ({ how, ttlMs, busyMs }: Case) => `${how}, ${busyMs} of ${ttlMs} ms`

/** For each case a process which computes for so long as soon as it has the lock. */
function spawnBusy(cases: readonly Case[]): Promise<Worker[]> {
  return Promise.all(
    cases.map(async (it) => {
      const { ttlMs, busyMs } = it
      const name = nameOf(it)
      const args = { locksmith: { url: redis.url }, port: redis.port, name, options: { ttlMs }, busyMs, resource: `resource of ${name}` }
      const worker = spawnWorker('busy-worker.mjs', args)
      await worker.next('ready')
      return worker
    }),
  )
}

/** Lets it in, at once or by the release of `other`. Returns its token. */
async function enter(it: Case, busy: Worker, other: LockWorker): Promise<number> {
  const name = nameOf(it)
  if (it.how === 'pushed') {
    await other.acquire({ name, handle: `${name} first` })
    busy.send({ type: 'enter' })
    await observer.queued(name, 1)
    await other.release(`${name} first`)
  } else {
    busy.send({ type: 'enter' })
  }
  return (await busy.next('entered')).fencingToken
}

test('for longer than its lease: it is lost before the section can act', async () => {
  const cases: Case[] = [
    { how: 'direct', ttlMs: 700, busyMs: 1_500 },
    { how: 'pushed', ttlMs: 700, busyMs: 1_500 },
  ]
  const [[other], busy] = await Promise.all([spawnCrew(redis, 1) as Promise<[LockWorker]>, spawnBusy(cases)])
  const run = async (it: Case, holder: Worker) => {
    const name = nameOf(it)
    const resource = `resource of ${name}`
    const token = await enter(it, holder, other)
    const theirs = await other.acquire({ name, handle: name })
    expect(theirs.fencingToken).toBeGreaterThan(token)
    expect(await other.fencedWrite(name, redis.port, resource, 'theirs')).toBe(true)

    const { looked, accepted } = await holder.next('acted')
    expect(looked, name).toMatchObject({ state: 'lost', aborted: true, held: false, error: { code: 'LOCK_LOST' } })
    expect(looked.atNs, 'the other was inside before').toBeGreaterThan(theirs.atNs)
    expect(accepted).toBe(false)
    holder.send({ type: 'release' })
    expect((await holder.next('released')).outcome, name).toEqual({ released: false, reason: 'lost' })

    expect(await other.look(name)).toMatchObject({ state: 'held', held: true })
    expect(await redis.command('HGET', resource, 'value')).toBe('theirs')
    expect(await other.release(name)).toMatchObject({ released: true })
  }
  await Promise.all(cases.map((it, i) => run(it, busy[i]!)))
  await redis.expectOnlyTokens('__halocksmith:')
})

/** Of a waiter it stands still as well: it is granted the lock meanwhile, and enters when it has time. */
async function busyWaiter(name: string, holder: LockWorker, waiter: LockWorker): Promise<void> {
  await holder.acquire({ name, handle: name })
  const [lock] = await queueUp(observer, name, [{ worker: waiter, handle: name }])
  const busy = waiter.block(2_500)
  await holder.release(name)
  const { fencingToken } = await observer.heldBy(name, waiter.process.pid)
  await busy
  expect((await lock!).fencingToken).toBe(fencingToken)
  await observer.renewed(name, waiter.process.pid, 25_000)
  expect(await waiter.look(name)).toMatchObject({ state: 'held', held: true })
}

test('for less than its lease: it is still held, and renewed as soon as the process has time; so for a waiter', async () => {
  const cases: Case[] = [
    { how: 'direct', ttlMs: 1_500, busyMs: 1_000 },
    { how: 'pushed', ttlMs: 1_500, busyMs: 1_000 },
    { how: 'direct', ttlMs: 30_000, busyMs: 3_000 },
    { how: 'pushed', ttlMs: 30_000, busyMs: 3_000 },
  ]
  const [[other, waiter], busy] = await Promise.all([spawnCrew(redis, 2) as Promise<[LockWorker, LockWorker]>, spawnBusy(cases)])
  const run = async (it: Case, holder: Worker) => {
    const name = nameOf(it)
    const token = await enter(it, holder, other)
    const [next] = await queueUp(observer, name, [{ worker: other }])
    const { looked, accepted } = await holder.next('acted')
    expect(looked, name).toMatchObject({ state: 'held', aborted: false, held: true })
    expect(accepted).toBe(true)
    // More is left than a grant has that was not renewed since: a claim window, or what the section has left of the lease.
    await observer.renewed(name, holder.pid, it.ttlMs * 0.8)
    expect((await observer.heldBy(name, holder.pid)).fencingToken).toBe(token)
    holder.send({ type: 'look' })
    expect((await holder.next('looked')).looked, name).toMatchObject({ state: 'held', aborted: false, held: true })
    holder.send({ type: 'release' })
    expect((await holder.next('released')).outcome, name).toEqual({ released: true })
    expect((await next!).fencingToken).toBeGreaterThan(token)
  }
  await Promise.all([busyWaiter('waiter', other, waiter), ...cases.map((it, i) => run(it, busy[i]!))])
})
