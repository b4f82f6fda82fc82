import { describe, expect, test } from 'vitest'
import { errorOf, useLocksmiths } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'

/** The default protocol meets a key that the version of 2013 wrote: it says so, and leaves it alone. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

describe.each(['a', '', '%', '{}', 'a b', '%7B', '\u{1F512}'])('the name %j', (name) => {
  test('is in conflict with a string at its key of 2013, which stays', async () => {
    const key = `__halocksmith:${name}`
    await redis.command('SET', key, '1700000000')
    const locksmith = makeLocksmith()
    for (const claim of [
      () => locksmith.acquire(name),
      () => locksmith.tryAcquire(name),
      () => locksmith.semaphore(name, 3).acquire(),
      () => locksmith.readWriteLock(name).read.acquire(),
    ]) {
      const error = await errorOf(claim())
      expect(error).toMatchObject({ code: 'LOCK_CONFLICT', key: name })
      expect(error.message).toContain(`${key} holds a string, as the version of 2013 writes for a lock`)
      expect(error.message).toContain("protocol: 'setnx'")
    }
    expect(await redis.keys()).toEqual([key])
    expect(await redis.command('GET', key)).toBe('1700000000')
    await redis.command('DEL', key)
    await (await locksmith.acquire(name)).release()
  })
})

test('one name of a batch that is in conflict harms no other', async () => {
  await redis.command('SET', '__halocksmith:b', '1700000000')
  const locksmith = makeLocksmith()
  const [a, b, c] = await Promise.allSettled(['a', 'b', 'c'].map((name) => locksmith.acquire(name)))
  expect([a?.status, b?.status, c?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})

test('data of another type there are none of ours, and no conflict', async () => {
  await redis.command('HSET', '__halocksmith:a', 'x', 'y')
  await (await makeLocksmith().acquire('a')).release()
})

test('a name that was used in the last ten seconds is not looked at again', async () => {
  const locksmith = makeLocksmith()
  const cycle = async () => (await locksmith.acquire('a')).release()
  await cycle()
  const hot = await redis.countCommands(cycle)
  expect(hot.calls.getrange).toBeUndefined()
  await redis.command('HSET', '__halocksmith:{a}', 'token', `${Date.now() - 10_500}000`)
  const cold = await redis.countCommands(cycle)
  expect(cold.calls.getrange).toBe(1)
})

test('after a holder that crashed, a name is looked at too', async () => {
  const locksmith = makeLocksmith()
  await locksmith.acquire('a', { ttlMs: 100, autoExtend: false })
  await redis.command('HSET', '__halocksmith:{a}', 'token', `${Date.now() - 10_500}000`)
  await redis.command('SET', '__halocksmith:a', '1700000000')
  expect(await errorOf(makeLocksmith().acquire('a'))).toMatchObject({ code: 'LOCK_CONFLICT' })
})
