import { describe, expect, test } from 'vitest'
import { LockTimeoutError } from '../../src/index.js'
import { MemoryStore } from '../../src/memory.js'
import { errorOf, eventsOf, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { IN_ORDER } from '../support/mode.mjs'
import { useRedis } from '../support/redis.js'

/** Acquiring, waiting and looking, with two locksmiths as two programs have them. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

/** Two locksmiths that are connected, on a server that knows the script. */
async function two() {
  const pair = [makeLocksmith({ name: 'first' }), makeLocksmith({ name: 'second' })] as const
  for (const locksmith of pair) await locksmith.using('warm-up', () => {})
  return pair
}

describe('a lock', () => {
  test('is for one at a time, in the order of asking, with larger tokens each time', async () => {
    const [a, b] = [makeLocksmith(IN_ORDER), makeLocksmith(IN_ORDER)]
    const first = await a.acquire('k')
    const order: string[] = []
    const enter = async (who: string, locksmith: typeof a) => {
      const lock = await locksmith.acquire('k')
      order.push(who)
      const { fencingToken } = lock
      await lock.release()
      return fencingToken
    }
    const tokens: Promise<number>[] = []
    for (const [i, locksmith] of [b, a, b].entries()) {
      tokens.push(enter(`${i}`, locksmith))
      await waitersOf(a, 'k', i + 1)
    }
    expect(order).toEqual([])
    await first.release()
    const all = [first.fencingToken, ...(await Promise.all(tokens))]
    expect(order).toEqual(['0', '1', '2'])
    expect(all).toEqual([...new Set(all)].sort((x, y) => x - y))
    await redis.expectOnlyTokens()
  })

  test('has what it says', async () => {
    const lock = await makeLocksmith().acquire('k', { ttlMs: 5_000 })
    expect(lock).toMatchObject({ name: 'k', names: ['k'], state: 'held' })
    expect(Number.isSafeInteger(lock.fencingToken)).toBe(true)
    expect(lock.remainingMs).toBeGreaterThan(4_000)
    expect(lock.remainingMs).toBeLessThanOrEqual(5_000)
    expect(lock.signal.aborted).toBe(false)
    lock.assertHeld()
  })

  test('is let go by asyncDispose, as `await using` calls it', async () => {
    const locksmith = makeLocksmith()
    const lock = await locksmith.acquire('k')
    await lock[Symbol.asyncDispose]()
    expect(lock.state).toBe('released')
    expect(await locksmith.tryAcquire('k')).not.toBeNull()
  })
})

describe('one attempt', () => {
  test.each(['tryAcquire', 'acquire'] as const)('%s of a busy lock is exactly one command, and leaves no waiter', async (method) => {
    const [a, b] = await two()
    await a.acquire('k')
    const { calls, result } = await redis.countCommands(() =>
      method === 'tryAcquire' ? b.tryAcquire('k') : errorOf(b.acquire('k', { waitMs: 0 })),
    )
    expect([calls.evalsha, calls.eval, calls.subscribe]).toEqual([1, undefined, undefined])
    if (method === 'tryAcquire') expect(result).toBeNull()
    else expect(result).toMatchObject({ code: 'LOCK_TIMEOUT', key: 'k', message: 'the lock "k" was busy for 0 ms' })
    const { held, pending } = await b.query({ name: 'k' })
    expect([held.length, pending.length]).toEqual([1, 0])
  })

  test('of a free lock is one command too', async () => {
    const [a] = await two()
    const { calls, result } = await redis.countCommands(() => a.tryAcquire('k', { waitMs: 5_000 }))
    expect(calls.evalsha).toBe(1)
    expect(result?.state).toBe('held')
  })

  test('does not overtake who waits', async () => {
    const [a, b] = await two()
    const lock = await a.acquire('k')
    const waiting = b.acquire('k')
    await waitersOf(a, 'k')
    expect(await a.tryAcquire('k')).toBeNull()
    await lock.release()
    await (await waiting).release()
    expect(await a.tryAcquire('k')).not.toBeNull()
  })
})

describe('waiting', () => {
  test('ends after waitMs with LOCK_TIMEOUT, and the queue is empty then', async () => {
    const [a, b] = await two()
    await a.acquire('k')
    const startMs = performance.now()
    const error = await errorOf(b.acquire('k', { waitMs: 500 }))
    expect(error).toBeInstanceOf(LockTimeoutError)
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', key: 'k', message: 'the lock "k" was busy for 500 ms' })
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(499)
    await waitersOf(a, 'k', 0)
  })

  test('is as short with the very first connection, once that stands', async () => {
    const [a] = await two()
    await a.acquire('k')
    const fresh = makeLocksmith()
    const startMs = performance.now()
    expect(await errorOf(fresh.acquire('k', { waitMs: 1 }))).toMatchObject({ code: 'LOCK_TIMEOUT' })
    expect(performance.now() - startMs).toBeLessThan(4_000)
  })

  test('is by default without end, or as long as the locksmith, the recipe or the call says', async () => {
    // Without a network no wait can be over before its first answer.
    const store = new MemoryStore()
    await makeLocksmith({ store }).acquire('k')
    const waitedMs = async (acquiring: Promise<unknown>) => /for (\d+) ms/.exec((await errorOf(acquiring)).message)?.[1]
    const impatient = makeLocksmith({ store, waitMs: 40 })
    expect(await waitedMs(impatient.acquire('k'))).toBe('40')
    expect(await waitedMs(impatient.mutex('k', { waitMs: 20 }).acquire())).toBe('20')
    expect(await waitedMs(impatient.mutex('k', { waitMs: 20 }).acquire({ waitMs: 10 }))).toBe('10')
    const patient = errorOf(makeLocksmith({ store }).acquire('k', { signal: AbortSignal.timeout(100) }))
    expect(await patient).toMatchObject({ name: 'TimeoutError' })
  })

  test('is told on the diagnostics channels', async () => {
    const [a, b] = await two()
    const lock = await a.acquire('k')
    const waiting = await eventsOf('halocksmith:waiting', async () => {
      const acquiring = b.acquire('k')
      await waitersOf(a, 'k')
      const granted = await eventsOf('halocksmith:granted', async () => {
        await lock.release()
        await acquiring
      })
      const { fencingToken } = await acquiring
      expect(granted).toMatchObject([{ name: 'k', fencingToken }])
      expect(granted[0]?.waitedMs).toBeGreaterThan(0)
      const released = await eventsOf('halocksmith:released', async () => (await acquiring).release())
      expect(released).toMatchObject([{ name: 'k', fencingToken, released: true }])
    })
    expect(waiting).toMatchObject([{ name: 'k' }])
  })

  test('sends nothing while nothing happens', async () => {
    const [a, b] = await two()
    const lock = await a.acquire('k')
    const waiting = b.acquire('k')
    await waitersOf(a, 'k')
    // Another lock is taken and released meanwhile: four commands that are not the waiter's.
    const { calls } = await redis.countCommands(async () => {
      for (let i = 0; i < 2; i++) await a.using('other', () => {})
    })
    expect(calls.evalsha).toBe(4)
    await lock.release()
    await waiting
  })
})

describe('query', () => {
  test('tells who holds and who waits, with all that is known', async () => {
    const [a, b] = await two()
    const lock = await a.acquire('k', { ttlMs: 60_000, metadata: { job: 'import', html: '<b>' } })
    const waiting = b.acquire('k', { priority: -3, metadata: {} })
    await waitersOf(a, 'k')
    const { held, pending } = await b.query({ name: 'k' })
    expect(held).toEqual([
      {
        name: 'k',
        mode: 'exclusive',
        permits: 1,
        limit: 1,
        clientId: expect.stringMatching(/^[\w-]{16}$/),
        label: 'first',
        host: expect.any(String),
        pid: process.pid,
        metadata: { job: 'import', html: '<b>' },
        fencingToken: lock.fencingToken,
        heldMs: expect.any(Number),
        expiresInMs: expect.any(Number),
      },
    ])
    expect(held[0]?.expiresInMs).toBeGreaterThan(50_000)
    expect(held[0]?.heldMs).toBeLessThan(5_000)
    expect(pending).toMatchObject([{ name: 'k', mode: 'exclusive', label: 'second', position: 1, priority: -3, metadata: {} }])
    expect(pending[0]?.clientId).not.toBe(held[0]?.clientId)
    await lock.release()
    await waiting
  })

  test('shows one client id for all of a locksmith, and nothing with which one could speak for it', async () => {
    const [a, b] = await two()
    const locks = [await a.acquire('k1'), await a.semaphore('k2', 3).acquire({ permits: 2 })]
    const waiting = a.acquire('k1')
    await waitersOf(a, 'k1')
    const { held, pending } = await b.query()
    expect(new Set([...held, ...pending].map(({ clientId }) => clientId)).size).toBe(1)
    const session = JSON.parse(locks[0]!.serialize()).locks[0].id.split('.')[0]
    expect(session).toMatch(/^[\w-]{22}$/)
    expect(JSON.stringify({ held, pending })).not.toContain(session)
    for (const lock of locks) await lock.release()
    await waiting
  })

  test('finds all, those of one name, or those that begin with a text', async () => {
    const [a, b] = await two()
    for (const name of ['orders/1', 'orders/2', 'users/1']) await a.acquire(name)
    const names = async (filter?: object) => (await b.query(filter)).held.map(({ name }) => name).sort()
    expect(await names()).toEqual(['orders/1', 'orders/2', 'users/1'])
    expect(await names({ prefix: 'orders/' })).toEqual(['orders/1', 'orders/2'])
    expect(await names({ prefix: '' })).toHaveLength(3)
    expect(await names({ name: 'orders/1' })).toEqual(['orders/1'])
    expect(await names({ name: 'orders/1', prefix: 'users/' })).toEqual(['orders/1'])
    expect(await names({ name: 'orders' })).toEqual([])
    expect(await makeLocksmith({ prefix: 'elsewhere:' }).query()).toEqual({ held: [], pending: [] })
  })
})

describe('a prefix', () => {
  test('keeps programs apart, and every key and channel begins with it', async () => {
    const [mine, theirs] = [makeLocksmith({ prefix: 'mine:' }), makeLocksmith({ prefix: 'theirs:' })]
    const [lock] = [await mine.acquire('k'), await theirs.acquire('k')]
    const waiting = mine.acquire('k')
    await waitersOf(mine, 'k')
    expect((await redis.keys()).every((key) => /^(mine|theirs):/.test(key))).toBe(true)
    const channels: string[] = await redis.command('PUBSUB', 'CHANNELS')
    expect(channels.map((channel) => channel.split(':')[0]).sort()).toEqual(['mine', 'theirs'])
    await lock.release()
    await waiting
  })
})

describe('hand-over to another locksmith', () => {
  test('takes the lock along: token, lease and all', async () => {
    const [a, b] = await two()
    const lock = await a.acquire('k', { ttlMs: 5_000 })
    const restored = await b.restore(lock.serialize())
    expect(restored).toMatchObject({ name: 'k', state: 'held', fencingToken: lock.fencingToken })
    await restored.extend(60_000)
    expect(restored.remainingMs).toBeGreaterThan(50_000)
    await expect(restored.release()).resolves.toEqual({ released: true })
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
    expect(lock.signal.aborted).toBe(true)
  })

  test('of several at once', async () => {
    const [a, b] = await two()
    const lock = await a.acquire(['x', 'y'])
    const restored = await b.restore(lock.serialize())
    expect(restored.names).toEqual(['x', 'y'])
    expect(restored.fencingToken).toBe(lock.fencingToken)
    await expect(restored.release()).resolves.toEqual({ released: true })
  })

  test('of a lock that was released is a loss, and creates nothing', async () => {
    const [a, b] = await two()
    const lock = await a.acquire('k')
    const text = lock.serialize()
    await lock.release()
    expect(await errorOf(b.restore(text))).toMatchObject({ code: 'LOCK_LOST', key: 'k' })
    await redis.expectOnlyTokens()
  })
})
