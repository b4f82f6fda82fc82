import { afterEach, describe, expect, test } from 'vitest'
import { createLocksmith, type Locksmith } from '../../src/index.js'
import { useCluster } from '../support/cluster.js'
import { CLUSTER_LIBRARIES } from '../support/cluster-clients.js'
import { eventually, until } from '../support/until.js'

/** Locks on a Cluster, for each client that there is: names in different slots, all primitives, wake-ups, and nothing left at the end. */

const cluster = useCluster()
const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

describe.each(CLUSTER_LIBRARIES)('$name', (library) => {
  const client = async (): Promise<unknown> => {
    const made = await library.make(cluster.seeds)
    closing.push(() => made.end())
    return made.client
  }
  const make = async (options: object = {}): Promise<Locksmith> => {
    const locksmith = createLocksmith({ client: await client(), ...options })
    closing.push(() => locksmith.close())
    return locksmith
  }

  test('names in different slots are locked, in order, with growing tokens', async () => {
    const names = await cluster.namesApart()
    expect(names).toHaveLength(3)
    const locksmiths = [await make({ handOverLimit: 0 }), await make({ handOverLimit: 0 })]
    const inside = new Set<string>()
    const tokens = new Map<string, number>()
    let entered = 0
    const enter = (locksmith: Locksmith, name: string): Promise<void> =>
      locksmith.using(name, async (lock) => {
        expect(inside.has(name)).toBe(false)
        inside.add(name)
        expect(lock.fencingToken).toBeGreaterThan(tokens.get(name) ?? 0)
        tokens.set(name, lock.fencingToken)
        entered += 1
        await Promise.resolve()
        inside.delete(name)
      })
    const all = Array.from({ length: 8 }, () => names.flatMap((name) => locksmiths.map((locksmith) => enter(locksmith, name))))
    await Promise.all(all.flat())
    expect(entered).toBe(48)
    for (const locksmith of locksmiths) await locksmith.close()
    await cluster.expectOnlyTokens()
  })

  test('every primitive, several names at once, tryAcquire and query', async () => {
    const locksmith = await make()
    const names = await cluster.namesApart('many')
    const semaphore = locksmith.semaphore('permits', 2)
    const permits = [await semaphore.acquire(), await semaphore.acquire()]
    expect(await semaphore.tryAcquire()).toBeNull()
    const rw = locksmith.readWriteLock('rw')
    const reader = await rw.read.acquire()
    expect(await rw.write.tryAcquire()).toBeNull()
    const several = await locksmith.acquire(names)
    expect(await locksmith.tryAcquire(names[1] as string)).toBeNull()
    const { held } = await locksmith.query()
    expect(new Set(held.map(({ name }) => name))).toEqual(new Set([...names, 'permits', 'rw']))
    for (const lock of [...permits, reader, several]) await lock.release()
    expect(await locksmith.query()).toEqual({ held: [], pending: [] })
    await locksmith.close()
    await cluster.expectOnlyTokens()
  })

  test('a long wait is woken by SPUBLISH, without polling', async () => {
    const [holder, waiter] = [await make(), await make()]
    const lock = await holder.acquire('long')
    const waiting = waiter.acquire('long')
    const redis = cluster.on(await cluster.ownerOf('long'))
    await until(async () => (await redis.command('PUBSUB', 'SHARDCHANNELS', '__halocksmith:{long}:inbox:*')).length === 1, {
      what: 'the session listens nearby',
    })
    // The place in the queue says so.
    await eventually(async () => expect(String(await redis.command('HVALS', '__halocksmith:{long}:waiters'))).toMatch(/ s\w+ /))
    const { calls } = await cluster.countCommands(async () => {
      await lock.release()
      await (await waiting).release()
    })
    expect(calls.spublish).toBe(1)
    expect(calls.publish).toBeUndefined()
    expect((calls.evalsha ?? 0) + (calls.eval ?? 0)).toBeLessThanOrEqual(4)
  })

  test('close() leaves no connection of its own', async () => {
    const before = (await cluster.clientList()).length
    const locksmith = createLocksmith({ client: await client() })
    const lock = await locksmith.acquire('left')
    const other = await make()
    const waiting = other.acquire('left', { waitMs: 5_000 })
    // A node that the library is connecting to refuses at once.
    await eventually(async () => expect((await other.query({ name: 'left' })).pending).toHaveLength(1))
    await lock.release()
    await (await waiting).release()
    await other.close()
    await locksmith.close()
    for (const close of closing.splice(0)) await close()
    await until(async () => (await cluster.clientList()).length <= before, { what: 'as many connections as before' })
  })
})
