import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { activeResources, expectNoMoreResources } from '../support/leaks.js'
import { errorOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { useReplicaSet } from '../support/replicas.js'
import { until } from '../support/until.js'

/** What a list of nodes is, on real servers. */

const program = inject('redisProgram')
const set = useReplicaSet({ replicas: 2, sentinels: 3 })
const independent: RedisServer[] = []
const open: Locksmith[] = []
let resources: ReturnType<typeof activeResources>

beforeAll(async () => {
  if (program.path === null) return
  const settings = [[], [], [], ['--cluster-enabled', 'yes'], ['--requirepass', 'secret']]
  for (const args of settings) independent.push(await startRedis({ redis: program, args }))
})
beforeEach(() => {
  resources = activeResources()
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((locksmith) => locksmith.close()))
  await expectNoMoreResources(resources)
})
afterAll(() => Promise.all(independent.map((server) => server.stop())))

function locksmithOf(options: LocksmithOptions): Locksmith {
  const locksmith = createLocksmith(inMode(options))
  open.push(locksmith)
  return locksmith
}

const address = ({ port }: RedisServer): string => `127.0.0.1:${port}`
const primary = (index: number): RedisServer => independent[index] as RedisServer
/** On which a lock is held. */
async function holders(servers: readonly RedisServer[], prefix = '__halocksmith:'): Promise<RedisServer[]> {
  const used = await Promise.all(servers.map(async (server) => (await server.command('HGET', `${prefix}{k}`, 'used')) !== null))
  return servers.filter((_, i) => used[i])
}

describe('what the nodes are is found out', () => {
  test('one server: the connection on which it was asked is the one that is used', async () => {
    const server = primary(0)
    const lock = await locksmithOf({ nodes: [address(server)], redis: { name: 'only-one' } }).acquire('k')
    const list: string[] = (await server.command('CLIENT', 'LIST')).split('\n')
    const own = list.filter((line) => line.includes(' name=only-one '))
    expect(own).toHaveLength(1)
    expect(own[0]).toContain(' sub=1 ')
    expect(await lock.release()).toEqual({ released: true })
  })

  test('a primary and its replicas, whichever comes first in the list', async () => {
    for (const nodes of [set.set.addresses, [...set.set.addresses].reverse()]) {
      const lock = await locksmithOf({ nodes }).acquire('k')
      const now = await set.set.primary()
      expect(await holders([now])).toEqual([now])
      expect(await lock.release()).toEqual({ released: true })
    }
  })

  test('independent primaries: a majority of them grants', async () => {
    const servers = independent.slice(0, 3)
    const locksmith = locksmithOf({ nodes: servers.map(address) })
    const lock = await locksmith.acquire('k')
    expect((await holders(servers)).length).toBeGreaterThanOrEqual(2)
    expect(await lock.release()).toEqual({ released: true })
    expect(await errorOf(locksmith.semaphore('s', 2).acquire())).toMatchObject({ code: 'LOCK_OPTION' })
  })

  test('sentinels', async () => {
    const lock = await locksmithOf({ nodes: set.set.sentinelAddresses }).acquire('k')
    const now = await set.set.primary()
    expect(await holders([now])).toEqual([now])
    expect(await lock.release()).toEqual({ released: true })
  })

  test('also by many claims at once, that come while the nodes are being asked', async () => {
    const locksmith = locksmithOf({ nodes: set.set.addresses })
    const done = await Promise.all(Array.from({ length: 20 }, () => locksmith.using('k', (lock) => lock.fencingToken)))
    expect(new Set(done).size).toBe(20)
  })

  test('a query is a first use as well', async () => {
    expect(await locksmithOf({ nodes: set.set.sentinelAddresses }).query()).toEqual({ held: [], pending: [] })
  })
})

describe('a list that is none of these is refused, with each node and its role', () => {
  test.each<[string, () => LocksmithOptions, () => string[]]>([
    [
      'a sentinel among data nodes',
      () => ({ nodes: [set.set.sentinelAddresses[0] as string, address(primary(0)), address(primary(1))] }),
      () => [`${set.set.sentinelAddresses[0]} is a sentinel of mymaster`, `${address(primary(1))} is a primary`],
    ],
    [
      'a node of a Cluster among others',
      () => ({ nodes: [address(primary(0)), address(primary(3))] }),
      () => [`${address(primary(3))} is a node of a Cluster`, `${address(primary(0))} is a primary`],
    ],
    [
      'independent primaries and a set',
      () => ({ nodes: [address(primary(0)), address(primary(1)), ...set.set.addresses.slice(0, 2)] }),
      () => [`${address(primary(1))} is a primary`],
    ],
    ['data nodes as sentinels', () => ({ sentinels: [address(primary(0))] }), () => ['sentinels must name sentinels']],
    [
      'a name that the sentinels do not know',
      () => ({ sentinels: set.set.sentinelAddresses, sentinelName: 'other' }),
      () => ['sentinelName', 'watch over mymaster', '"other"'],
    ],
    [
      'servers of which none can take the place of another, where one is to be promoted',
      () => ({ nodes: independent.slice(0, 3).map(address), failover: 'promote' }),
      () => ['failover', 'independent servers'],
    ],
    ['a name without sentinels', () => ({ nodes: [address(primary(0))], sentinelName: 'm' }), () => ['no sentinels']],
  ])('%s', async (_, options, said) => {
    const locksmith = locksmithOf(options())
    for (const attempt of [() => locksmith.acquire('k'), () => locksmith.tryAcquire('k'), () => locksmith.query()]) {
      const error = await errorOf(attempt())
      expect(error).toMatchObject({ code: 'LOCK_OPTION' })
      for (const text of said()) expect(error.message).toContain(text)
    }
  })

  test('replicas without their primary', async () => {
    const replicas = (await set.set.replicas()).map(address)
    const error = await errorOf(locksmithOf({ nodes: replicas }).acquire('k'))
    expect(error).toMatchObject({ code: 'LOCK_OPTION', option: 'nodes' })
    expect(error.message).toContain(`${replicas[0]} is a replica of ${address(await set.set.primary())}`)
    expect((await errorOf(locksmithOf({ nodes: replicas.slice(1) }).acquire('k'))).code).toBe('LOCK_OPTION')
  })

  test('and works when the list makes sense at the next use', async () => {
    const [a, b] = [primary(0), primary(1)]
    await b.command('REPLICAOF', '127.0.0.1', primary(2).port)
    try {
      await until(async () => (await b.command('ROLE'))[3] === 'connected')
      const locksmith = locksmithOf({ nodes: [address(a), address(b)] })
      expect((await errorOf(locksmith.acquire('k'))).code).toBe('LOCK_OPTION')
      await b.command('REPLICAOF', '127.0.0.1', a.port)
      await until(async () => (await b.command('ROLE'))[3] === 'connected')
      await (await locksmith.acquire('k')).release()
    } finally {
      // By command it would keep the history that it has in common with the other.
      await b.restart()
    }
  })
})

describe('nodes that are away at the start', () => {
  const NOBODY = '127.0.0.1:1'

  test('a majority that agrees is enough', async () => {
    const nodes = [...set.set.addresses, NOBODY, '127.0.0.1:2']
    await (await locksmithOf({ nodes }).acquire('k')).release()
    await (await locksmithOf({ nodes: [...set.set.sentinelAddresses.slice(1), NOBODY] }).acquire('k')).release()
  })

  test('also of independent primaries, and of five two may be away', async () => {
    const nodes = [NOBODY, ...independent.slice(0, 3).map(address), '127.0.0.1:2']
    // A name of its own: one that voted and came back empty would sit out.
    const lock = await locksmithOf({ nodes, prefix: 'five:' }).acquire('k')
    expect((await holders(independent.slice(0, 3), 'five:')).length).toBe(3)
    await lock.release()
  })

  test('of sentinels that are named as such, one is', async () => {
    const sentinels = [NOBODY, '127.0.0.1:2', set.set.sentinelAddresses[0] as string]
    await (await locksmithOf({ sentinels }).acquire('k')).release()
  })

  test('a node that says nothing costs no more than a moment', async () => {
    const [hung] = await set.set.replicas()
    await hung?.pause()
    await (await locksmithOf({ nodes: set.set.addresses }).acquire('k', { waitMs: 1_000 })).release()
  })

  test('without a majority, each node is named with its error, and a password is not', async () => {
    const nodes = [NOBODY, { host: '127.0.0.1', port: 2, password: 'secret' }, address(primary(0))]
    const error = await errorOf(locksmithOf({ nodes }).acquire('k', { waitMs: 100 }))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(error.message).toContain('2 of 3 nodes must answer')
    for (const text of ['127.0.0.1:1', '127.0.0.1:2', 'ECONNREFUSED', `${address(primary(0))} is a primary`]) {
      expect(error.message).toContain(text)
    }
    expect(JSON.stringify([error.message, error.cause?.message])).not.toContain('secret')
  })

  test('a password that is refused is told at once', async () => {
    const nodes = [{ host: '127.0.0.1', port: primary(4).port, password: 'wrong' }]
    const error = await errorOf(locksmithOf({ nodes }).acquire('k'))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(error.message).toContain('WRONGPASS')
  })

  test('a user who may not ask can use one server, and not find out what several are', async () => {
    const user = { username: 'quiet', password: 'secret' }
    for (const server of [primary(0), primary(1)]) {
      await server.command('ACL', 'SETUSER', 'quiet', 'on', '>secret', '~*', '&*', '+@all', '-info')
    }
    await (await locksmithOf({ nodes: [address(primary(0))], redis: user }).acquire('k')).release()
    const error = await errorOf(locksmithOf({ nodes: [primary(0), primary(1)].map(address), redis: user }).acquire('k'))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(error.message).toMatch(/NOPERM.*'info'/)
    expect(error.message).not.toContain('secret')
  })

  test('those that come in time are waited for', async () => {
    const server = primary(2)
    await server.kill()
    const locksmith = locksmithOf({ nodes: [address(server)] })
    const acquiring = locksmith.acquire('k', { waitMs: 10_000 })
    await server.start()
    await (await acquiring).release()
  })

  test('closing while they are being asked settles everything', async () => {
    const server = primary(1)
    await server.pause()
    try {
      const locksmith = createLocksmith(inMode({ nodes: [address(server), NOBODY] }))
      const outcomes = [errorOf(locksmith.acquire('k')), errorOf(locksmith.query()), errorOf(locksmith.tryAcquire('k'))]
      await locksmith.close()
      const codes = (await Promise.all(outcomes)).map(({ code }) => code)
      expect(codes.filter((code) => code !== 'LOCK_CLOSED' && code !== 'LOCK_UNAVAILABLE')).toEqual([])
    } finally {
      server.resume()
    }
  })
})

describe('nodes that become something else', () => {
  const [a, b, c] = [() => primary(0), () => primary(1), () => primary(2)]
  const nodes = () => [a(), b(), c()].map(address)

  afterEach(async () => {
    await Promise.all([b(), c()].map((server) => server.restart()))
  })

  async function makeReplica(server: RedisServer): Promise<void> {
    await server.command('REPLICAOF', '127.0.0.1', a().port)
    await until(async () => (await server.command('ROLE'))[3] === 'connected')
  }

  test('one of three that is a replica now: an operator is told, and the others go on', async () => {
    const locksmith = locksmithOf({ nodes: nodes(), prefix: 'one:' })
    await (await locksmith.acquire('k')).release()
    await makeReplica(c())
    const told: unknown[] = []
    const hear = (message: unknown) => void told.push(message)
    subscribe('halocksmith:warning', hear)
    try {
      await until(async () => {
        await (await locksmith.acquire('k')).release()
        return told.length > 0
      })
    } finally {
      unsubscribe('halocksmith:warning', hear)
    }
    expect(told[0]).toMatchObject({ code: 'NODES' })
    expect((told[0] as { message: string }).message).toContain(`${address(c())} is a replica of ${address(a())}`)
    await (await locksmith.acquire('k')).release()
  })

  test('all of them are one set now: its primary is followed', async () => {
    const locksmith = locksmithOf({ nodes: nodes(), prefix: 'all:' })
    await (await locksmith.acquire('k')).release()
    await Promise.all([makeReplica(b()), makeReplica(c())])
    const lock = await locksmith.acquire('k', { waitMs: 10_000 })
    expect(lock.fencingToken).toBeGreaterThan(0)
    await until(async () => (await holders([a()], 'all:')).length === 1)
    expect(await lock.release()).toEqual({ released: true })
    // One set knows semaphores, independent servers do not.
    await (await locksmith.semaphore('s', 2).acquire()).release()
  })
})
