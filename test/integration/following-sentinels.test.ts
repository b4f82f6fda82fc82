import { afterEach, describe, expect, test } from 'vitest'
import type { RedisServer } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { errorOf, eventsOf, waitersOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { useReplicaSet } from '../support/replicas.js'
import { until } from '../support/until.js'

/** A primary with replicas and sentinels: what happens to locks and waiters when they fail over. */

const servers = useReplicaSet({ replicas: 2, sentinels: 3 })
const open: Locksmith[] = []
afterEach(() => Promise.all(open.splice(0).map((locksmith) => locksmith.close())))

function follower(options: LocksmithOptions = {}): Locksmith {
  const locksmith = createLocksmith(inMode({ sentinels: servers.set.sentinelAddresses, ...options }))
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

/** The name's hash, as a server has it. */
async function stateOf(server: RedisServer, name: string): Promise<string[]> {
  return server.command('HGETALL', `__halocksmith:{${name}}`)
}

const ways = [
  ['an operator fails over', (set: typeof servers.set) => set.failover()],
  [
    'the primary is killed',
    async (set: typeof servers.set) => {
      const before = await set.primary()
      await before.kill()
      return set.whenPromoted(before)
    },
  ],
  [
    'the primary hangs',
    async (set: typeof servers.set) => {
      const before = await set.primary()
      await before.pause()
      return set.whenPromoted(before)
    },
  ],
] as const

describe.each(ways)('%s', (_, failOver) => {
  test('the locksmith moves within two seconds of the promotion; what is held becomes unknown, then held; tokens grow', async () => {
    const locksmith = follower()
    const lock = await locksmith.acquire('k')
    await servers.set.whenLinked()
    const doubted = await eventsOf('halocksmith:unknown', async () => {
      const kept = await eventsOf('halocksmith:held', async () => {
        const next = await failOver(servers.set)
        const promotedAtMs = performance.now()
        await followed(next)
        expect(performance.now() - promotedAtMs).toBeLessThan(2_000)
        await until(() => lock.state === 'held')
      })
      expect(kept).not.toEqual([])
    })
    expect(doubted[0]).toMatchObject({ name: 'k', fencingToken: lock.fencingToken })
    expect(lock.signal.aborted).toBe(false)
    const next = await servers.set.primary()
    await lock.extend()
    expect(await lock.release()).toEqual({ released: true })
    expect(await stateOf(next, 'k')).toContain('token')
    const again = await locksmith.acquire('k')
    expect(again.fencingToken).toBeGreaterThan(lock.fencingToken)
    await again.release()
  })

  test('waiters find their place, and are granted in their order', async () => {
    const [holder, first, second] = [follower(), follower(), follower()]
    const lock = await holder.acquire('k')
    const order: string[] = []
    const tokens: number[] = [lock.fencingToken]
    const enter = (who: string) => async (held: { fencingToken: number }) => {
      order.push(who)
      tokens.push(held.fencingToken)
    }
    const a = first.using('k', enter('first'))
    await waitersOf(holder, 'k', 1)
    const b = second.using('k', enter('second'))
    await waitersOf(holder, 'k', 2)
    await servers.set.whenLinked()
    const next = await failOver(servers.set)
    await followed(next, 3)
    await waitersOf(holder, 'k', 2)
    expect(await lock.release()).toEqual({ released: true })
    await Promise.all([a, b])
    expect(order).toEqual(['first', 'second'])
    expect(tokens).toEqual([...tokens].sort((x, y) => x - y))
    expect(new Set(tokens).size).toBe(3)
  })
})

describe('passwords', () => {
  const guarded = useReplicaSet({ replicas: 1, sentinels: 1, password: 'of-the-nodes', sentinelPassword: 'of-the-sentinels' })

  test('of the nodes are those of all, and sentinels have their own', async () => {
    const [sentinel] = guarded.set.sentinels as [RedisServer]
    const own = { host: sentinel.host, port: sentinel.port, password: 'of-the-sentinels' }
    const lock = await follower({ sentinels: [own], redis: { password: 'of-the-nodes' } }).acquire('k')
    expect(await lock.release()).toEqual({ released: true })
    for (const options of [
      { sentinels: [own], redis: { password: 'wrong' } },
      { sentinels: [{ ...own, password: 'wrong' }], redis: { password: 'of-the-nodes' } },
    ]) {
      const error = await errorOf(follower(options).acquire('k', { waitMs: 500 }))
      expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
      expect(error.message).toMatch(/WRONGPASS|NOAUTH/)
      expect(error.message).not.toMatch(/of-the-|wrong"/)
    }
  })
})

describe('beside a former primary that is still writable', () => {
  test('writes go to the new one', async () => {
    const locksmith = follower()
    await (await locksmith.acquire('k')).release()
    const before = await servers.set.primary()
    const next = await servers.set.failover()
    await followed(next)
    const lock = await locksmith.acquire('k')
    expect(await stateOf(next, 'k')).toContain('used')
    expect(await stateOf(before, 'k')).not.toContain('used')
    expect(await before.command('ROLE')).toContain('master')
    await lock.release()
  })

  test('a lock that the new primary never heard of is lost, and its signal fires', async () => {
    const locksmith = follower()
    await (await locksmith.acquire('other')).release()
    const lock = await locksmith.acquire('k')
    const before = await servers.set.primary()
    await servers.set.whenLinked()
    const next = await servers.set.failover()
    // As if the grant had not been copied in time.
    await next.command('DEL', '__halocksmith:{k}')
    await followed(next)
    await until(() => lock.signal.aborted)
    expect(lock.state).toBe('lost')
    // What the former one says does not count.
    expect(await stateOf(before, 'k')).toContain('used')
    expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
  })
})

describe('the sentinels', () => {
  test('may come and go: one that is left is enough to follow', async () => {
    const locksmith = follower()
    const lock = await locksmith.acquire('k')
    await servers.set.whenLinked()
    const next = await servers.set.failover()
    await followed(next)
    await Promise.all(servers.set.sentinels.slice(1).map((sentinel) => sentinel.kill()))
    await lock.extend()
    await lock.release()
    await (await follower().acquire('k')).release()
  })

  test('are not needed while the primary is well', async () => {
    const locksmith = follower()
    const lock = await locksmith.acquire('k')
    await Promise.all(servers.set.sentinels.map((sentinel) => sentinel.kill()))
    await lock.extend()
    expect(await lock.release()).toEqual({ released: true })
    const error = await errorOf(follower().acquire('k', { waitMs: 100 }))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    for (const address of servers.set.sentinelAddresses) expect(error.message).toContain(address)
  })

  test('that watch over several primaries are told which one is meant', async () => {
    const others = await servers.set.replicas()
    const watch = ['MONITOR', 'second', '127.0.0.1', (others[0] as RedisServer).port, 2] as const
    await Promise.all(servers.set.sentinels.map((sentinel) => sentinel.command('SENTINEL', ...watch)))
    const error = await errorOf(follower().acquire('k'))
    expect(error).toMatchObject({ code: 'LOCK_OPTION', option: 'sentinelName' })
    expect(error.message).toMatch(/mymaster, second|second, mymaster/)
    const lock = await follower({ sentinelName: 'mymaster' }).acquire('k')
    expect(await stateOf(await servers.set.primary(), 'k')).toContain('used')
    await lock.release()
  })

  test('may be named as nodes', async () => {
    const locksmith = follower({ sentinels: undefined, nodes: servers.set.sentinelAddresses })
    const lock = await locksmith.acquire('k')
    await servers.set.whenLinked()
    await followed(await servers.set.failover())
    await until(() => lock.state === 'held')
    expect(await lock.release()).toEqual({ released: true })
  })
})
