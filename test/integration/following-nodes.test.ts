import { afterEach, describe, expect, test } from 'vitest'
import type { RedisServer } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { errorOf, eventsOf, waitersOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { useReplicaSet } from '../support/replicas.js'
import { until } from '../support/until.js'

/** A primary with replicas and nobody who watches over them: the locksmith follows whoever is primary among its nodes. */

const servers = useReplicaSet({ replicas: 2 })
const open: Locksmith[] = []
afterEach(() => Promise.all(open.splice(0).map((locksmith) => locksmith.close())))

function follower(options: LocksmithOptions = {}): Locksmith {
  const locksmith = createLocksmith(inMode({ nodes: servers.set.addresses, ...options }))
  open.push(locksmith)
  return locksmith
}

/** Resolves when so many locksmiths hear their grants from a server. */
async function followed(server: RedisServer, count = 1): Promise<void> {
  await until(async () => (await server.command('PUBSUB', 'CHANNELS', '__halocksmith:*')).length === count, {
    what: `${count} locksmiths are connected to ${server.port}`,
    timeoutMs: 10_000,
  })
}

async function stateOf(server: RedisServer, name: string): Promise<string[]> {
  return server.command('HGETALL', `__halocksmith:{${name}}`)
}

async function aReplica(): Promise<RedisServer> {
  const [replica] = await servers.set.replicas()
  return replica as RedisServer
}

describe.each([
  ['an operator promotes a replica, and makes a replica of the old primary', false],
  ['an operator promotes a replica while the old primary stays one', true],
])('%s', (_, stays) => {
  const promote = async (next: RedisServer) => {
    await servers.set.whenLinked()
    const leaveAlone = stays ? [await servers.set.primary()] : []
    await servers.set.promote(next, { leaveAlone })
  }

  test('the locksmith moves; what is held becomes unknown, then held; tokens grow', async () => {
    const locksmith = follower()
    const lock = await locksmith.acquire('k')
    const next = await aReplica()
    const doubted = await eventsOf('halocksmith:unknown', async () => {
      await promote(next)
      const promotedAtMs = performance.now()
      await followed(next)
      expect(performance.now() - promotedAtMs).toBeLessThan(2_000)
      await until(() => lock.state === 'held')
    })
    expect(doubted[0]).toMatchObject({ name: 'k' })
    expect(await lock.release()).toEqual({ released: true })
    const again = await locksmith.acquire('k')
    expect(again.fencingToken).toBeGreaterThan(lock.fencingToken)
    expect(await stateOf(next, 'k')).toContain('used')
    await again.release()
  })

  test('waiters find their place', async () => {
    const [holder, waiter] = [follower(), follower()]
    const lock = await holder.acquire('k')
    const waiting = waiter.acquire('k')
    await waitersOf(holder, 'k', 1)
    const next = await aReplica()
    await promote(next)
    await followed(next, 2)
    await waitersOf(holder, 'k', 1)
    expect(await lock.release()).toEqual({ released: true })
    const granted = await waiting
    expect(granted.fencingToken).toBeGreaterThan(lock.fencingToken)
    await granted.release()
  })
})

describe('the primary is killed', () => {
  test('claims wait for somebody to promote another, by default nobody does; then they are granted', async () => {
    const locksmith = follower()
    await (await locksmith.acquire('k')).release()
    await servers.set.whenLinked()
    const before = await servers.set.primary()
    await before.kill()
    const acquiring = locksmith.acquire('k')
    const impatient = await errorOf(locksmith.acquire('other', { waitMs: 1_500 }))
    expect(impatient).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(impatient.message).toContain(`is a replica of 127.0.0.1:${before.port}`)
    expect(await servers.set.replicas()).toHaveLength(2)
    const next = await aReplica()
    await servers.set.promote(next)
    const lock = await acquiring
    expect(await stateOf(next, 'k')).toContain('used')
    await lock.release()
  })

  test('and comes back: claims go on', async () => {
    const locksmith = follower()
    const lock = await locksmith.acquire('k')
    await servers.set.whenLinked()
    const before = await servers.set.primary()
    await before.restart({ keepData: true })
    await until(() => lock.state === 'held', { timeoutMs: 10_000 })
    await lock.extend()
    expect(await lock.release()).toEqual({ released: true })
  })

  test('and comes back as if nothing had happened, after another was promoted: it is not used', async () => {
    const locksmith = follower()
    await (await locksmith.acquire('k')).release()
    await servers.set.whenLinked()
    const before = await servers.set.primary()
    await before.kill()
    const next = await aReplica()
    await servers.set.promote(next)
    await before.restart()
    expect(await before.command('ROLE')).toContain('master')
    for (const one of [locksmith, follower()]) {
      const lock = await one.acquire('k')
      expect(await stateOf(next, 'k')).toContain('used')
      expect(await stateOf(before, 'k')).toEqual([])
      await lock.release()
    }
  })

  test('while a claim starts on the others: it waits for a primary', async () => {
    await servers.set.whenLinked()
    const before = await servers.set.primary()
    await before.kill()
    const acquiring = follower().acquire('k', { waitMs: 15_000 })
    const next = await aReplica()
    await servers.set.promote(next)
    const lock = await acquiring
    expect(await stateOf(next, 'k')).toContain('used')
    await lock.release()
  })
})

test('a primary that is made a replica: writes that it refuses go to the new one', async () => {
  const locksmith = follower()
  const before = await servers.set.primary()
  const lock = await locksmith.acquire('k')
  await servers.set.whenLinked()
  const next = await aReplica()
  await servers.set.promote(next)
  expect(await before.command('ROLE')).toContain('slave')
  // On the old connection, or the new one.
  const other = await locksmith.acquire('other', { waitMs: 10_000 })
  expect(await stateOf(next, 'other')).toContain('used')
  await Promise.all([other.release(), lock.release()])
})

test('no connection is left after close()', async () => {
  const locksmith = follower()
  await (await locksmith.acquire('k')).release()
  await locksmith.close()
  await until(async () => {
    const lists: string[] = await Promise.all(servers.set.nodes.map((node) => node.command('CLIENT', 'LIST', 'TYPE', 'normal')))
    // The harness' own, which asks.
    return lists.every((list) => list.trim().split('\n').length === 1)
  })
})
