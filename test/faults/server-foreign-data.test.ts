import { expect, test } from 'vitest'
import { abortedBefore, endOf, failure, keys, type Lab, useLabs, VIAS, within } from './lab.js'

/** S7: where the library keeps its state there is something else. It is named, and nothing of it is touched. */

const openLab = useLabs()

const FOREIGN: Record<string, readonly string[]> = {
  string: ['SET', 'precious'],
  list: ['RPUSH', 'a', 'b'],
  set: ['SADD', 'a', 'b'],
  zset: ['ZADD', '1', 'a'],
  hash: ['HSET', 'a', 'b'],
  stream: ['XADD', '*', 'a', 'b'],
}

/** Puts data of this type there; the function that is returned asserts that it is as it was, and removes it. */
async function put({ redis }: Lab, type: string, key: string) {
  const [command, ...values] = FOREIGN[type] as [string, ...string[]]
  await redis.command(command, key, ...values)
  const before = await redis.command('DUMP', key)
  return async () => {
    expect([await redis.command('DUMP', key), await redis.command('PTTL', key)]).toEqual([before, -1])
    await redis.command('DEL', key)
  }
}

const conflict = (key: string, type: string) => ({
  code: 'LOCK_CONFLICT',
  message: expect.stringMatching(new RegExp(`${key.replace(/[{}]/g, '\\$&')}.*${type}`, 's')),
})

for (const type of Object.keys(FOREIGN).filter((one) => one !== 'hash')) {
  test.concurrent.for(type === 'string' ? VIAS : VIAS.slice(0, 1))(
    `a ${type} instead of the state, %s: a conflict, at once`,
    async (via, context) => {
      const lab = await openLab(context)
      const key = keys.stateKey(lab.name)
      const untouched = await put(lab, type, key)
      const locksmith = await lab.locksmith({ via })
      const claims = [
        locksmith.acquire(lab.name),
        locksmith.tryAcquire(lab.name),
        locksmith.semaphore(lab.name, 3).acquire(),
        locksmith.readWriteLock(lab.name).read.acquire(),
      ]
      for (const error of await within(3_000, Promise.all(claims.map(failure)))) {
        expect(error).toMatchObject({ ...conflict(key, type), key: lab.name })
      }
      await untouched()
      expect(await lab.redis.keys()).toEqual([])
    },
  )
}

for (const [end, types] of [
  [':queue', ['string', 'list', 'set', 'hash', 'stream']],
  [':waiters', ['string', 'list', 'set', 'zset', 'stream']],
] as const) {
  for (const type of types) {
    test.concurrent(`a ${type} instead of <name>${end}: a conflict for who has to wait, and nothing for the holder`, async (context) => {
      const lab = await openLab(context)
      const key = keys.stateKey(lab.name) + end
      const untouched = await put(lab, type, key)
      const locksmith = await lab.locksmith()
      const lock = await locksmith.acquire(lab.name)
      expect(await failure(locksmith.acquire(lab.name))).toMatchObject({ ...conflict(key, type), key: lab.name })
      expect(await locksmith.tryAcquire(lab.name)).toBeNull()
      await lock.extend()
      expect(await lock.release()).toEqual({ released: true })
      expect(await (await locksmith.acquire(lab.name)).release()).toEqual({ released: true })
      await untouched()
    })
  }
}

test.concurrent('put there while a lock is held: lost at the deadline, and not touched by the release', async (context) => {
  const lab = await openLab(context)
  const ttlMs = 1_500
  const locksmith = await lab.locksmith({ ttlMs })
  const lock = await locksmith.acquire(lab.name)
  const { signal } = lock
  const key = keys.stateKey(lab.name)
  await lab.redis.command('DEL', key)
  const untouched = await put(lab, 'string', key)
  const { message } = await lab.diary.seen('unknown')
  expect(message.error).toMatchObject({ message: expect.stringContaining(key) })
  expect(await abortedBefore(signal, endOf(performance.now() + lock.remainingMs, ttlMs))).toMatchObject({ code: 'LOCK_LOST' })
  expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
  await locksmith.close()
  await untouched()
})

test.concurrent('one such key does not keep others from being looked at', async (context) => {
  const lab = await openLab(context)
  const untouched = await put(lab, 'string', keys.stateKey('foreign'))
  const locksmith = await lab.locksmith()
  const lock = await locksmith.acquire(lab.name)
  expect((await locksmith.query()).held).toMatchObject([{ name: lab.name, fencingToken: lock.fencingToken }])
  await untouched()
})
