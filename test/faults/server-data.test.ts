import { expect, test } from 'vitest'
import { IN_ORDER } from '../support/mode.mjs'
import { abortedBefore, endOf, failure, type Lab, useLabs, VIAS, within } from './lab.js'

/** S3, S7: what the library keeps in the server is deleted, all of it or one key, as an eviction does; or something else is in its place. */

const openLab = useLabs()

const DELETIONS: Record<string, (lab: Lab) => Promise<unknown>> = {
  FLUSHALL: ({ redis }) => redis.flush(),
  'DEL of the state': ({ redis, keys, name }) => redis.command('DEL', keys.stateKey(name)),
}

for (const [what, happens] of Object.entries(DELETIONS)) {
  test.concurrent.for(VIAS)(`${what}, %s: the next renewal tells of the loss, and nothing is created again`, async (via, context) => {
    const lab = await openLab(context, {})
    const locksmith = await lab.locksmith({ via, ttlMs: 6_000 })
    const lock = await locksmith.acquire(lab.name)
    const { signal } = lock
    const deadlineMs = performance.now() + lock.remainingMs
    await happens(lab)
    expect((await lab.diary.seen('lost')).atMs).toBeLessThan(deadlineMs - 1_000)
    expect(signal.reason).toMatchObject({ code: 'LOCK_LOST', key: lab.name })
    expect(signal.reason.message).toContain('the server no longer has it')
    expect(await failure(lock.extend())).toBe(signal.reason)
    expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
    expect(await lab.redis.keys()).toEqual([])
    expect((await locksmith.acquire(lab.name)).fencingToken).toBeGreaterThan(lock.fencingToken)
  })
}

test.concurrent('an extension or a release that comes before the next renewal tells of it too', async (context) => {
  const lab = await openLab(context, {})
  const locksmith = await lab.locksmith()
  const [extended, released] = [await locksmith.acquire('a'), await locksmith.acquire('b')]
  await lab.redis.flush()
  const error = await failure(extended.extend())
  expect(error).toMatchObject({ code: 'LOCK_LOST', key: 'a' })
  expect(extended.signal.reason).toBe(error)
  expect(await released.release()).toEqual({ released: false, reason: 'lost' })
  expect(released.signal.aborted).toBe(true)
  expect(await lab.redis.keys()).toEqual([])
})

test.concurrent('one of several names: the whole lock is lost', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith({ ttlMs: 1_500 })
  const names = [lab.name, `second ${lab.name}`]
  const lock = await locksmith.acquire(names)
  const { signal } = lock
  await lab.redis.command('DEL', lab.keys.stateKey(lab.name))
  await lab.diary.seen('lost')
  expect(signal.reason).toMatchObject({ code: 'LOCK_LOST', key: lab.name })
  expect(lock.state).toBe('lost')
  expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
})

const KEYS = ['', ':queue', ':waiters']
for (const deleted of [[''], [':queue'], [':waiters'], [':queue', ':waiters'], KEYS]) {
  const what = deleted.map((end) => `<name>${end}`).join(' and ')
  test.concurrent(`${what} deleted while five wait: all get the lock, and the next to come find it in order`, async (context) => {
    const lab = await openLab(context)
    const [locksmith, other] = [await lab.locksmith(IN_ORDER), await lab.locksmith()]
    const held = await other.acquire(lab.name)
    let inside = 0
    const claims = Array.from({ length: 5 }, () =>
      locksmith.using(lab.name, async ({ fencingToken }) => {
        expect(++inside).toBe(1)
        await lab.redis.command('PING')
        inside--
        return fencingToken
      }),
    )
    await lab.diary.seen('waiting', 5)
    await lab.redis.command('DEL', ...deleted.map((end) => lab.keys.stateKey(lab.name) + end))
    // They look again every two seconds, and find that the lock is there for the taking, or that they are not in the queue any more.
    await lab.waitersAre(deleted.includes('') ? 0 : 5)
    expect(await held.release()).toEqual(deleted.includes('') ? { released: false, reason: 'lost' } : { released: true })
    const tokens = await Promise.all(claims)
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
    expect(await lab.allKeys()).toEqual([lab.keys.stateKey(lab.name)])

    const first = await other.acquire(lab.name)
    const second = locksmith.acquire(lab.name, { waitMs: 2_000 })
    await lab.diary.seen('waiting', 6)
    await first.release()
    await (await second).release()
  })
}

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
      const key = lab.keys.stateKey(lab.name)
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
      expect(await lab.allKeys()).toEqual([])
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
      const key = lab.keys.stateKey(lab.name) + end
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
  const key = lab.keys.stateKey(lab.name)
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
  const untouched = await put(lab, 'string', lab.keys.stateKey('foreign'))
  const locksmith = await lab.locksmith()
  const lock = await locksmith.acquire(lab.name)
  expect((await locksmith.query()).held).toMatchObject([{ name: lab.name, fencingToken: lock.fencingToken }])
  await untouched()
})
