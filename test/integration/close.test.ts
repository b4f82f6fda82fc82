import { describe, expect, test } from 'vitest'
import { createLocksmith } from '../../src/index.js'
import { MemoryStore } from '../../src/memory.js'
import { nodeRedis } from '../support/libraries.js'
import { errorOf, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

describe('close', () => {
  test('rejects who waits with LOCK_CLOSED, and leaves no waiter behind', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await a.acquire('k')
    const waiting = [errorOf(b.acquire('k')), errorOf(b.acquire(['j', 'k'])), errorOf(b.using('k', () => {}))]
    await waitersOf(b, 'k', 3)
    await b.close()
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ code: 'LOCK_CLOSED', key: 'k' })
    const { held, pending } = await a.query()
    expect([held.map(({ name }) => name), pending]).toEqual([['k'], []])
  })

  test('releases what is held, so that the next enters at once', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const locks = [await a.acquire('k'), await a.semaphore('s', 2).acquire({ permits: 2 }), await a.acquire(['x', 'y'])]
    const next = b.acquire('k')
    await waitersOf(b, 'k')
    await a.close()
    expect(locks.map(({ state }) => state)).toEqual(['released', 'released', 'released'])
    await (await next).release()
    await redis.expectOnlyTokens()
  })

  test('refuses whatever comes later, without a command', async () => {
    const locksmith = makeLocksmith()
    const lock = await locksmith.acquire('k')
    const text = lock.serialize()
    const mutex = locksmith.mutex('k')
    await locksmith.close()
    const { total } = await redis.countCommands(async () => {
      const errors = [
        await errorOf(locksmith.acquire('k')),
        await errorOf(locksmith.acquire(['k', 'l'])),
        await errorOf(locksmith.tryAcquire('k')),
        await errorOf(locksmith.using('k', () => {})),
        await errorOf(mutex.acquire()),
        await errorOf(locksmith.semaphore('k', 2).tryAcquire()),
        await errorOf(locksmith.query()),
        await errorOf(locksmith.forceRelease('k')),
        await errorOf(locksmith.restore(text)),
      ]
      for (const error of errors) expect(error).toMatchObject({ code: 'LOCK_CLOSED' })
    })
    expect(total).toBe(0)
  })

  test('twice, at once and later, is one', async () => {
    const locksmith = makeLocksmith()
    await locksmith.acquire('k')
    await Promise.all([locksmith.close(), locksmith.close()])
    await locksmith.close()
    await locksmith[Symbol.asyncDispose]()
    await redis.expectOnlyTokens()
  })

  test('of a locksmith that was never used opens no connection', async () => {
    await makeLocksmith().close()
    await makeLocksmith({ nodes: ['127.0.0.1:1'] }).close()
    expect(await redis.clientList()).toEqual([])
  })

  test('closes the connections that it opened', async () => {
    const locksmith = makeLocksmith()
    await locksmith.acquire('k')
    expect(await redis.clientList()).not.toEqual([])
    await locksmith.close()
    await until(async () => (await redis.clientList()).length === 0, { what: 'no connection is left' })
  })

  test('at the same time as a release lets both succeed', async () => {
    const locksmith = makeLocksmith()
    const lock = await locksmith.acquire('k')
    const [outcome] = await Promise.all([lock.release(), locksmith.close()])
    expect(outcome).toEqual({ released: true })
    await redis.expectOnlyTokens()
  })

  test('at the very moment of a grant leaves nobody holding', async () => {
    const other = makeLocksmith()
    await other.using('k', () => {})
    for (let round = 0; round < 40; round++) {
      const locksmith = makeLocksmith()
      await locksmith.using('warm-up', () => {})
      const acquiring = locksmith.acquire('k').catch((error) => error)
      for (let turns = round % 10; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
      await locksmith.close()
      const outcome = await acquiring
      expect(outcome.code ?? outcome.state).toMatch(/^(LOCK_CLOSED|released)$/)
      expect(await other.query({ name: 'k' })).toEqual({ held: [], pending: [] })
    }
  })

  test('while it connects rejects who waits for that', async () => {
    const locksmith = makeLocksmith()
    const acquiring = errorOf(locksmith.acquire('k'))
    await locksmith.close()
    expect(await acquiring).toMatchObject({ code: 'LOCK_CLOSED', key: 'k' })
    await until(async () => (await redis.clientList()).length === 0, { what: 'no connection is left' })
  })
})

describe("a caller's client", () => {
  test('is used, and untouched and usable afterwards; the inbox is gone', async () => {
    const client = await nodeRedis('redis-6', { socket: { host: redis.host, port: redis.port } })
    // Its own events; a symbol of ours is none of them.
    const listeners = () =>
      client.eventNames().flatMap((name: unknown) => (typeof name === 'string' ? [name, client.listenerCount(name)] : []))
    const before = listeners()
    const locksmith = makeLocksmith({ client })
    const waiter = makeLocksmith({ client })
    const lock = await locksmith.acquire('k')
    const next = waiter.acquire('k')
    await waitersOf(locksmith, 'k')
    expect(await redis.command('PUBSUB', 'CHANNELS', '*')).toHaveLength(2)
    await lock.release()
    await (await next).release()
    await locksmith.close()
    await waiter.close()
    await until(async () => (await redis.command('PUBSUB', 'CHANNELS', '*')).length === 0, { what: 'no subscription is left' })
    await until(async () => (await redis.clientList()).length === 1, { what: 'only the client of the caller is connected' })
    expect(client.isReady).toBe(true)
    expect(listeners()).toEqual(before)
    expect(await client.ping()).toBe('PONG')
    client.destroy()
  })

  test.each([
    ['redis-3', (module: any) => module.createClient(redis.port, redis.host)],
    ['redis-07', (module: any) => module.createClient(redis.port, redis.host)],
  ])('of %s: a release at the same time as close is not lost', async (name, make) => {
    const { createRequire } = await import('node:module')
    const client = make(createRequire(import.meta.url)(name))
    client.on('error', () => {})
    await new Promise((resolve) => client.once('ready', resolve))
    const locksmith = makeLocksmith({ client })
    const lock = await locksmith.acquire('k')
    const [outcome] = await Promise.all([lock.release(), locksmith.close()])
    expect(outcome).toEqual({ released: true })
    await redis.expectOnlyTokens()
    client.end(false)
  })
})

test("a caller's store is not closed", async () => {
  const store = new MemoryStore()
  const [a, b] = [createLocksmith({ store }), createLocksmith({ store })]
  await a.acquire('k')
  await a.close()
  expect((await b.acquire('k')).state).toBe('held')
  expect(await errorOf(a.forceRelease('k'))).toMatchObject({ code: 'LOCK_CLOSED' })
  expect((await b.query()).held).toHaveLength(1)
  await b.close()
  await store.close()
})
