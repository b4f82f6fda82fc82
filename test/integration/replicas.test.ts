import { createRequire } from 'node:module'
import { afterEach, describe, expect, test } from 'vitest'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { MemoryStore } from '../../src/memory.js'
import { nodeRedis, type Raw } from '../support/libraries.js'
import { errorOf, waitersOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { TestRedis } from '../support/redis.js'
import { useReplicaSet } from '../support/replicas.js'
import { until } from '../support/until.js'

/** `minReplicas`: a grant counts when replicas have it, and goes back when they don't. On a primary with two replicas. */

const servers = useReplicaSet({ replicas: 2 })
const require = createRequire(import.meta.url)
const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function open(options: LocksmithOptions = {}): Promise<Locksmith> {
  const source = options.client === undefined ? { nodes: [(await servers.set.primary()).port] } : {}
  const locksmith = createLocksmith(inMode({ ...source, ...options }))
  closing.push(() => locksmith.close())
  return locksmith
}

/** The primary, looked at from outside. */
async function primary(): Promise<TestRedis> {
  const redis = new TestRedis()
  redis.server = await servers.set.primary()
  return redis
}

const CLIENTS: Record<string, (port: number) => Promise<[Raw, () => unknown]>> = {
  'ioredis 6': (port) => ioredis('ioredis-6', port),
  'ioredis 5, auto-pipelining': (port) => ioredis('ioredis-5', port, { enableAutoPipelining: true }),
  iovalkey: (port) => ioredis('iovalkey', port),
  'redis 6': (port) => redisClient('redis-6', port),
  'redis 4': (port) => redisClient('redis-4', port),
  'redis 3': async (port) => {
    const client = require('redis-3').createClient(port, '127.0.0.1')
    return [client, () => client.end(false)]
  },
}

async function ioredis(module: string, port: number, options: object = {}): Promise<[Raw, () => unknown]> {
  const client = new (require(module).Redis)({ port, host: '127.0.0.1', ...options })
  return [client, () => client.disconnect()]
}

async function redisClient(module: string, port: number): Promise<[Raw, () => unknown]> {
  const client = await nodeRedis(module, { socket: { host: '127.0.0.1', port } })
  return [client, () => client.disconnect()]
}

/** How a locksmith reaches the primary by each way; undefined is our own connection. */
async function optionsVia(via: string): Promise<LocksmithOptions> {
  const make = CLIENTS[via]
  if (make === undefined) return {}
  const [client, end] = await make((await servers.set.primary()).port)
  closing.push(async () => end())
  return { client }
}

async function pause(count: number): Promise<void> {
  const replicas = await servers.set.replicas()
  await Promise.all(replicas.slice(0, count).map((replica) => replica.pause()))
}

async function resumeAll(): Promise<void> {
  for (const node of servers.set.nodes) node.resume()
}

describe.for(['our own connection', ...Object.keys(CLIENTS)])('%s', (via) => {
  test('a grant that enough replicas have', async () => {
    const locksmith = await open({ ...(await optionsVia(via)), minReplicas: 2 })
    const redis = await primary()
    // The server has the script from then on.
    await (await locksmith.acquire('a')).release()
    const { calls } = await redis.countCommands(async () => {
      const lock = await locksmith.acquire('a')
      expect(lock.state).toBe('held')
      await lock.extend()
      await lock.release()
    })
    expect(calls.wait).toBe(2)
    await redis.expectOnlyTokens()
  })

  test('one that too few have goes back, and how many had it is told', async () => {
    const locksmith = await open(await optionsVia(via))
    await pause(1)
    const error = await errorOf(locksmith.acquire('a', { minReplicas: 2, ttlMs: 1_000 }))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: 'a' })
    expect(error.message).toBe(
      'the lock "a" could not be asked for: only 1 of the 2 replicas that minReplicas asks for had the grant within 125 ms; it was given back',
    )
    const lock = await locksmith.acquire('a', { minReplicas: 1 })
    await lock.release()
    await (await primary()).expectOnlyTokens()
  })
})

describe('an attempt and several names', () => {
  test('an attempt that too few replicas have is told of, and leaves nothing', async () => {
    const locksmith = await open({ minReplicas: 2 })
    await pause(2)
    const error = await errorOf(locksmith.tryAcquire('a', { ttlMs: 400 }))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('only 0 of the 2 replicas') })
    expect(error.message).toContain('within 63 ms')
    await (await primary()).expectOnlyTokens()
  })

  test('of several names none is kept', async () => {
    const locksmith = await open()
    const redis = await primary()
    await pause(1)
    const options = { minReplicas: 2, ttlMs: 1_000 }
    expect(await errorOf(locksmith.acquire(['a', 'b'], options))).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    await redis.expectOnlyTokens()
  })

  test('a busy name is busy', async () => {
    const [holder, other] = [await open(), await open({ minReplicas: 2 })]
    const lock = await holder.acquire('a')
    expect(await other.tryAcquire('a')).toBeNull()
    await lock.release()
  })

  test('after the server forgot the script', async () => {
    const locksmith = await open({ minReplicas: 2 })
    await (await locksmith.acquire('a')).release()
    await (await primary()).command('SCRIPT', 'FLUSH')
    const lock = await locksmith.acquire('a')
    expect((await lock.release()).released).toBe(true)
  })
})

describe('a waiter', () => {
  test('is confirmed before it enters', async () => {
    const [holder, waiter] = [await open(), await open({ minReplicas: 2 })]
    const redis = await primary()
    const lock = await holder.acquire('a')
    const waiting = waiter.acquire('a')
    await waitersOf(holder, 'a')
    const { calls, result } = await redis.countCommands(async () => {
      await lock.release()
      return waiting
    })
    expect(calls.wait).toBe(1)
    expect(result.fencingToken).toBeGreaterThan(lock.fencingToken)
    // The whole lease, not a claim window.
    expect(result.remainingMs).toBeGreaterThan(20_000)
    await result.release()
  })

  test('with too few replicas gives its turn to the next', async () => {
    const [holder, first, second] = [await open(), await open({ minReplicas: 2 }), await open()]
    const lock = await holder.acquire('a')
    const refused = errorOf(first.acquire('a'))
    await waitersOf(holder, 'a')
    const waiting = second.acquire('a')
    await waitersOf(holder, 'a', 2)
    await pause(1)
    await lock.release()
    expect(await refused).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('only 1 of the 2') })
    const next = await waiting
    await next.release()
    await (await primary()).expectOnlyTokens()
  })

  test('does not share its place, nor its lock, with claims that ask for other replicas', async () => {
    const locksmith = await open()
    const redis = await primary()
    const lock = await locksmith.acquire('a', { minReplicas: 1 })
    const { calls } = await redis.countCommands(async () => {
      const claims = [1, 1, 2, 0].map((minReplicas) => locksmith.acquire('a', { minReplicas }).then((one) => one.release()))
      await lock.release()
      await Promise.all(claims)
    })
    // Handed on to those that ask for the same, granted anew to the one of two replicas, and to the one of none.
    expect(calls.wait).toBeGreaterThanOrEqual(1)
    await redis.expectOnlyTokens()
  })
})

describe('while it is held', () => {
  test('a renewal that too few replicas have leaves the lock unknown, until they answer', async () => {
    const locksmith = await open({ minReplicas: 1 })
    const lock = await locksmith.acquire('a', { ttlMs: 3_000 })
    await pause(2)
    await until(() => lock.state === 'unknown', { what: 'the lock is unknown' })
    const error = await errorOf(lock.extend())
    expect(error.message).toContain('only 0 of the 1 replicas that minReplicas asks for had the renewal')
    await resumeAll()
    await until(() => lock.state === 'held', { what: 'the lock is held again' })
    expect((await lock.release()).released).toBe(true)
  })

  test('and lost when its lease ends', async () => {
    const locksmith = await open({ minReplicas: 1 })
    const lock = await locksmith.acquire('a', { ttlMs: 400 })
    await pause(2)
    await until(() => lock.signal.aborted, { what: 'the signal' })
    expect(lock.state).toBe('lost')
    expect(lock.signal.reason.message).toContain('no renewal got through')
    expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
    await resumeAll()
    await (await primary()).expectOnlyTokens()
  })

  test('whoever takes it over from its text renews it by replicas too', async () => {
    const locksmith = await open()
    const text = (await locksmith.acquire('a', { minReplicas: 1 })).serialize()
    const other = await open()
    const { result, calls } = await (await primary()).countCommands(() => other.restore(text))
    expect(calls.wait).toBe(1)
    await result.release()
  })
})

test('a replica that is promoted has the grant', async () => {
  const locksmith = await open({ minReplicas: 2 })
  const before = await servers.set.primary()
  const [, next] = servers.set.nodes.filter((node) => node !== before)
  const lock = await locksmith.acquire('a', { ttlMs: 20_000 })
  await before.kill()
  await servers.set.promote(next as NonNullable<typeof next>)
  const other = await open()
  const { held } = await other.query({ name: 'a' })
  expect(held).toMatchObject([{ fencingToken: lock.fencingToken }])
  expect(await other.tryAcquire('a')).toBeNull()
  await other.forceRelease('a')
})

test('claims that ask for no replicas do not wait for them', async () => {
  const locksmith = await open()
  const redis = await primary()
  await pause(2)
  await redis.countCommands(() => locksmith.acquire('warm').then((lock) => lock.release()))
  const order: string[] = []
  const slow = errorOf(locksmith.acquire('a', { minReplicas: 1 })).then(() => order.push('with'))
  const quick = locksmith.acquire('b').then((lock) => {
    order.push('without')
    return lock.release()
  })
  await Promise.all([slow, quick])
  expect(order).toEqual(['without', 'with'])
  await redis.expectOnlyTokens()
})

test('with the replicas away, many claims are each told within the wait for one', async () => {
  const locksmith = await open({ minReplicas: 1 })
  await (await locksmith.acquire('warm')).release()
  await pause(2)
  const errors = await Promise.all(Array.from({ length: 40 }, (_, i) => errorOf(locksmith.acquire(`a${i}`))))
  for (const error of errors) expect(error.message).toContain('only 0 of the 1')
  await (await primary()).expectOnlyTokens()
})

test('an engine without replicas says so', async () => {
  const locksmith = createLocksmith({ store: new MemoryStore(), minReplicas: 1 })
  const error = await errorOf(locksmith.acquire('a'))
  expect(error).toMatchObject({ code: 'LOCK_OPTION', option: 'minReplicas' })
  expect(error.message).toBe('minReplicas must be 0: locks in the memory of a process have no replicas; got 1')
  await locksmith.close()
})
