import { afterEach, describe, expect, test } from 'vitest'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { useCluster } from '../support/cluster.js'
import { CLUSTER_LIBRARIES } from '../support/cluster-clients.js'
import { isLastToken, type Leftover } from '../support/redis.js'
import { eventually, until } from '../support/until.js'

/** What can happen to a Cluster: S2, S6, S13 and S15 of the list of faults, on real servers. */

const cluster = useCluster()
const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A failover takes the node timeout, up to a second until the replica stands for election, and what the machine adds. */
const FAILOVER_MS = 15_000

/** A free name leaves its last token, and for some time the ids of requests that were given up. */
const isTrace = (left: Leftover): boolean => isLastToken(left) || (left.type === 'hash' && left.ttlMs > 0 && left.fields.includes('gone'))

describe.each(CLUSTER_LIBRARIES.filter(({ name }) => !name.includes(',')))('$name', (library) => {
  const make = async (options: LocksmithOptions = {}): Promise<Locksmith> => {
    const made = await library.make(cluster.seeds)
    closing.push(made.end)
    const locksmith = createLocksmith({ ...options, client: made.client })
    closing.push(() => locksmith.close())
    return locksmith
  }

  const waiting = (locksmith: Locksmith, name: string, count: number) =>
    until(async () => (await locksmith.query({ name })).pending.length === count, { what: `${count} wait for ${name}` })

  /** Until a name's waiters are all woken by SPUBLISH. */
  const heardNearby = async (name: string) => {
    const redis = cluster.on(await cluster.ownerOf(name))
    await eventually(async () => {
      const waiters: string[] = await redis.command('HVALS', `__halocksmith:{${name}}:waiters`)
      for (const waiter of waiters) expect(waiter).toMatch(/ s\w+ /)
    })
  }

  test('a primary is killed while its locks are held and waited for: the replica goes on', { timeout: 60_000 }, async () => {
    const [name = '', other = ''] = await cluster.namesApart('killed')
    const [holder, waiter] = [await make({ ttlMs: 20_000 }), await make({ ttlMs: 20_000 })]
    const lock = await holder.acquire(name)
    const elsewhere = await holder.acquire(other)
    const next = waiter.acquire(name)
    await waiting(waiter, name, 1)
    const victim = await cluster.ownerOf(name)
    // A failover loses what was not copied yet; what becomes of that is for the fencing token.
    await cluster.on(victim).command('WAIT', 1, 2_000)
    await victim.kill()
    // Slots of the others are served all the time.
    await elsewhere.extend()
    await (await waiter.acquire(`{${other}}`)).release()
    await until(async () => (await cluster.ownerOf(name).catch(() => victim)) !== victim, { what: 'a promotion', timeoutMs: FAILOVER_MS })
    await eventually(() => lock.extend(), { timeoutMs: 8_000, what: 'the lock goes on' })
    expect([lock.state, elsewhere.state]).toEqual(['held', 'held'])
    await lock.release()
    const granted = await next
    expect(granted.fencingToken).toBeGreaterThan(lock.fencingToken)
    await granted.release()
    await elsewhere.release()
    const later = await holder.acquire(name)
    expect(later.fencingToken).toBeGreaterThan(granted.fencingToken)
    await later.release()
    await cluster.expectEmpty('', isTrace)
  })

  test('a slot is moved while its lock is held and waited for: both go on', async () => {
    const name = 'moved'
    const [holder, waiter, late] = [await make(), await make(), await make()]
    const lock = await holder.acquire(name)
    const next = waiter.acquire(name)
    await waiting(waiter, name, 1)
    const from = await cluster.ownerOf(name)
    const to = (await cluster.servers.primaries()).find((node) => node !== from) as typeof from
    let last: ReturnType<Locksmith['acquire']> | undefined
    const log: string[] = []
    await cluster.servers.migrateSlot(`__halocksmith:{${name}}`, to, {
      // All of the name's keys are here still: nothing is to be noticed.
      beforeKeys: async () => {
        await lock.extend()
        log.push('before')
      },
      // They are there, where only who is sent by ASK may ask.
      afterKeys: async () => {
        await lock.extend()
        last = late.acquire(name)
        await waiting(late, name, 2)
        log.push('after')
      },
    })
    expect(log).toEqual(['before', 'after'])
    expect(await cluster.ownerOf(name)).toBe(to)
    await lock.extend()
    await lock.release()
    const second = await next
    await second.release()
    const third = await (last as ReturnType<Locksmith['acquire']>)
    expect([second.fencingToken > lock.fencingToken, third.fencingToken > second.fencingToken]).toEqual([true, true])
    await third.release()
    await cluster.expectEmpty('', isTrace)
  })

  test('a free name in a slot that is on its way is locked when the slot has arrived', async () => {
    const name = 'on-its-way'
    const locksmith = await make()
    const from = await cluster.ownerOf(name)
    const to = (await cluster.servers.primaries()).find((node) => node !== from) as typeof from
    let lock: ReturnType<Locksmith['acquire']> | undefined
    await cluster.servers.migrateSlot(`__halocksmith:{${name}}`, to, {
      afterKeys: async () => {
        lock = locksmith.acquire(name)
        // It has been refused once: TRYAGAIN.
        await until(async () => (await cluster.on(to).command('INFO', 'errorstats')).includes('errorstat_TRYAGAIN'))
      },
    })
    await (await (lock as ReturnType<Locksmith['acquire']>)).release()
    await cluster.expectEmpty('', isTrace)
  })

  test('the scripts of one node are flushed: nobody notices', async () => {
    const names = await cluster.namesApart('flushed')
    const locksmith = await make()
    for (const name of names) await locksmith.using(name, () => {})
    await cluster.on(await cluster.ownerOf(names[1] as string)).command('SCRIPT', 'FLUSH')
    for (const name of names) await locksmith.using(name, () => {})
  })

  test('a primary hangs: names on the others are locked as ever, and its own where they are promoted', { timeout: 60_000 }, async () => {
    const [name = '', ...others] = await cluster.namesApart('hung')
    const locksmith = await make()
    for (const one of [name, ...others]) await locksmith.using(one, () => {})
    const victim = await cluster.ownerOf(name)
    await victim.pause()
    const stuck = locksmith.acquire(name)
    const seen: string[] = []
    for (let i = 0; i < 20; i++) {
      for (const one of others) await locksmith.using(one, { waitMs: 1_000 }, () => void seen.push(one))
    }
    expect(seen).toHaveLength(40)
    const lock = await stuck
    expect(victim.alive && (await cluster.ownerOf(name)) !== victim).toBe(true)
    await lock.release()
    victim.resume()
    await cluster.servers.whenOk()
    await cluster.expectEmpty('', isTrace)
  })

  test('a waiter that is gone is passed over at once', async () => {
    const name = 'gone'
    const [holder, next] = [await make(), await make()]
    const gone = await library.connect(cluster.seeds)
    closing.push(gone.dispose)
    await until(() => gone.client.isUp)
    const deserted = createLocksmith({ client: gone.client })
    const lock = await holder.acquire(name)
    const lost = deserted.acquire(name).catch(() => undefined)
    await waiting(holder, name, 1)
    const patient = next.acquire(name)
    await waiting(holder, name, 2)
    await heardNearby(name)
    // Its process ends: its connections are gone, its place in the queue is not.
    await gone.client.close()
    await gone.dispose()
    const redis = cluster.on(await cluster.ownerOf(name))
    await until(async () => (await redis.command('PUBSUB', 'SHARDCHANNELS', '__halocksmith:{gone}*')).length === 1)
    await lock.release()
    const { held } = await holder.query({ name })
    expect(held).toHaveLength(1)
    const granted = await patient
    expect(held[0]?.fencingToken).toBe(granted.fencingToken)
    await granted.release()
    await deserted.close()
    await lost
  })
})
