import { describe, expect, test } from 'vitest'
import { errorOf, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'

/** Data of another program at our place: told as LOCK_CONFLICT with key and type, and left alone. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

const STATE = '__halocksmith:{k}'
const QUEUE = `${STATE}:queue`
const WAITERS = `${STATE}:waiters`

/** How each type is written and looked at. */
const TYPES: Record<string, { write: (string | number)[]; read: (string | number)[] }> = {
  string: { write: ['SET', '$', 'theirs'], read: ['GET', '$'] },
  list: { write: ['RPUSH', '$', 'one', 'two'], read: ['LRANGE', '$', 0, -1] },
  set: { write: ['SADD', '$', 'one'], read: ['SMEMBERS', '$'] },
  zset: { write: ['ZADD', '$', 1, 'one'], read: ['ZRANGE', '$', 0, -1, 'WITHSCORES'] },
  hash: { write: ['HSET', '$', 'their field', 'their value'], read: ['HGETALL', '$'] },
  stream: { write: ['XADD', '$', '1-1', 'a', 'b'], read: ['XRANGE', '$', '-', '+'] },
}

/** Puts data of a type at a key. What is returned asserts that they are as they were. */
async function occupy(key: string, type: string): Promise<() => Promise<void>> {
  const { write, read } = TYPES[type]!
  const at = (args: (string | number)[]) => args.map((arg) => (arg === '$' ? key : arg))
  await redis.command(...at(write))
  const before = await redis.command(...at(read))
  return async () => {
    expect(await redis.command(...at(read))).toEqual(before)
    expect(await redis.command('PTTL', key)).toBe(-1)
    expect(await redis.command('TYPE', key)).toBe(type)
  }
}

describe.each(['string', 'list', 'set', 'zset', 'stream'])('a %s in the place of the state', (type) => {
  test('is a conflict for whatever is asked', async () => {
    const expectUntouched = await occupy(STATE, type)
    const locksmith = makeLocksmith()
    const errors = [
      await errorOf(locksmith.acquire('k')),
      await errorOf(locksmith.acquire('k', { waitMs: 5_000 })),
      await errorOf(locksmith.tryAcquire('k')),
      await errorOf(locksmith.using('k', () => {})),
      await errorOf(locksmith.acquire(['j', 'k'])),
      await errorOf(locksmith.semaphore('k', 2).acquire()),
      await errorOf(locksmith.readWriteLock('k').read.acquire()),
      await errorOf(locksmith.forceRelease('k')),
      await errorOf(locksmith.query({ name: 'k' })),
    ]
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'LOCK_CONFLICT', key: 'k' })
      expect(error.message).toContain(STATE)
      expect(error.message).toContain(type)
    }
    await expectUntouched()
    expect(await redis.keys(`${STATE}*`)).toEqual([STATE])
  })
})

describe.each([
  [QUEUE, 'string'],
  [QUEUE, 'list'],
  [WAITERS, 'string'],
  [WAITERS, 'zset'],
])('%s taken by a %s', (key, type) => {
  test('is a conflict for who would have to wait; who holds is not harmed', async () => {
    const expectUntouched = await occupy(key, type)
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire('k')
    const error = await errorOf(b.acquire('k', { waitMs: 5_000 }))
    expect(error).toMatchObject({ code: 'LOCK_CONFLICT', key: 'k' })
    expect(error.message).toContain(key)
    expect(error.message).toContain(type)
    await lock.extend()
    expect(lock.state).toBe('held')
    await expect(lock.release()).resolves.toEqual({ released: true })
    await expectUntouched()
    // Where nobody has to wait, the lock works on.
    await a.using('k', () => {})
    await expectUntouched()
    await redis.expectEmpty(STATE, (left) => left.key === key || (left.key === STATE && left.fields.join() === 'token'))
  })

  test('is a conflict for who waits already, and the holder lets go all the same', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire('k')
    const waiting = errorOf(b.acquire('k', { ttlMs: 400 }))
    await waitersOf(a, 'k')
    await redis.command('DEL', key)
    const expectUntouched = await occupy(key, type)
    await expect(lock.release()).resolves.toEqual({ released: true })
    // Its regular check tells it.
    expect(await waiting).toMatchObject({ code: 'LOCK_CONFLICT', key: 'k' })
    await expectUntouched()
  })
})

test('a hash of somebody else at the place of the state keeps its fields', async () => {
  await redis.command('HSET', STATE, 'their field', 'their value')
  const [a, b] = [makeLocksmith(), makeLocksmith()]
  const lock = await a.acquire('k')
  expect(await b.tryAcquire('k')).toBeNull()
  await lock.release()
  expect(await redis.command('HGET', STATE, 'their field')).toBe('their value')
})

test('data of somebody else under our prefix do not keep a query from telling about the others', async () => {
  await redis.command('SET', STATE, 'theirs')
  await redis.command('RPUSH', '__halocksmith:{l}:queue', 'theirs')
  const locksmith = makeLocksmith()
  await locksmith.acquire('a')
  await locksmith.acquire('l')
  expect((await locksmith.query()).held.map(({ name }) => name)).toContain('a')
})
