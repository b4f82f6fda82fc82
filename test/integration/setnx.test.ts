import { afterEach, describe, expect, test } from 'vitest'
import type { Locksmith } from '../../src/index.js'
import { useLegacy } from '../support/legacy.js'
import { LockOf2013 } from '../support/lock-of-2013.js'
import { errorOf, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { isLastToken, useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** `protocol: 'setnx'`: processes of this version and of 2013 on the same locks, on a real server. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)
const makeLegacy = useLegacy(redis)
const KEY = '__halocksmith:a'
const olds: LockOf2013[] = []

afterEach(() => {
  for (const old of olds.splice(0)) old.close()
})

const beside = (options: object = {}): Locksmith => makeLocksmith({ protocol: 'setnx', pollMs: 10, ...options })

async function old(options: { timeout?: number } = {}, key = KEY): Promise<LockOf2013> {
  const lock = await LockOf2013.connect(redis.port, key, options)
  olds.push(lock)
  return lock
}

const value = (): Promise<string | null> => redis.command('GET', KEY)
const serverMs = async (): Promise<number> => {
  const [seconds, us]: [string, string] = await redis.command('TIME')
  return Number(seconds) * 1_000 + Number(us) / 1_000
}

describe('beside a process of 2013', () => {
  test('what that holds is busy, and had when it is released', async () => {
    const [theirs, ours] = [await old(), beside()]
    await theirs.acquire()
    expect(await ours.tryAcquire('a')).toBeNull()
    expect(await errorOf(ours.acquire('a', { waitMs: 50 }))).toMatchObject({ code: 'LOCK_TIMEOUT' })
    const waiting = ours.acquire('a')
    await theirs.release()
    const lock = await waiting
    expect(lock.state).toBe('held')
    await lock.release()
    await redis.expectOnlyTokens()
  })

  test('what we hold is busy to it, and had when it is released', async () => {
    const [theirs, ours] = [await old(), beside()]
    const lock = await ours.acquire('a')
    expect(await theirs.attempt()).toBe(false)
    const waiting = theirs.acquire()
    await lock.release()
    await waiting
    expect(await ours.tryAcquire('a')).toBeNull()
    expect(await theirs.release()).toBe(true)
    await redis.expectOnlyTokens()
  })

  test('the text says when the lease ends, a second or two later, and is gone by itself', async () => {
    const lock = await beside().acquire('a', { ttlMs: 5_000 })
    const endMs = (await serverMs()) + lock.remainingMs
    const text = await value()
    expect(text).toMatch(new RegExp(`^\\d{10}\\.${lock.fencingToken}$`))
    expect(Number(text) * 1_000).toBeGreaterThan(endMs + 900)
    expect(Number(text) * 1_000).toBeLessThan(endMs + 2_200)
    const ttlMs: number = await redis.command('PTTL', KEY)
    expect(Math.abs(Math.floor(Number(text)) * 1_000 - (await serverMs()) - ttlMs)).toBeLessThan(100)
    await lock.release()
  })

  test('a renewal says so too', async () => {
    const lock = await beside().acquire('a', { ttlMs: 1_000 })
    const before = Number(await value())
    await lock.extend(60_000)
    expect(Number(await value())).toBeGreaterThan(before + 50)
    await lock.release()
  })

  test('four of each kind, at the same time: never two inside', { timeout: 30_000 }, async () => {
    const [CYCLES, tokens] = [12, [] as number[]]
    let [inside, most, entries] = [0, 0, 0]
    const critical = async () => {
      most = Math.max(most, ++inside)
      entries += 1
      await redis.command('PING')
      inside -= 1
    }
    const theirs = Array.from({ length: 4 }, async () => {
      const lock = await old()
      for (let i = 0; i < CYCLES; i++) {
        await lock.acquire()
        await critical()
        await lock.release()
      }
    })
    const ours = Array.from({ length: 4 }, async () => {
      const locksmith = beside()
      for (let i = 0; i < CYCLES; i++) {
        const lock = await locksmith.acquire('a')
        tokens.push(lock.fencingToken)
        await critical()
        await lock.release()
      }
    })
    await Promise.all([...theirs, ...ours])
    expect({ most, entries }).toEqual({ most: 1, entries: 8 * CYCLES })
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
    expect(new Set(tokens).size).toBe(tokens.length)
  })
})

describe('after a crash', () => {
  test('of a process of 2013: its lock is taken over a second after its end, no sooner', async () => {
    const theirs = await old({ timeout: 1 })
    await theirs.acquire()
    const endsMs = Number(await value()) * 1_000
    const lock = await beside().acquire('a')
    expect(lock.fencingToken / 1_000).toBeGreaterThanOrEqual(endsMs + 1_000)
    // Its release, which comes too late, harms nobody.
    expect(await theirs.release()).toBe(false)
    expect(await (await old()).attempt()).toBe(false)
    await lock.release()
  })

  test('of ours: a process of 2013 takes over after the lease, and what we had is lost', async () => {
    const lock = await beside().acquire('a', { ttlMs: 200, autoExtend: false })
    const theirs = await old()
    await theirs.acquire()
    expect(await serverMs()).toBeGreaterThan(lock.fencingToken / 1_000 + 200)
    expect(lock.state).toBe('lost')
    expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
    expect(await beside().tryAcquire('a')).toBeNull()
    expect(await theirs.release()).toBe(true)
  })

  test('of ours: another of ours takes over as soon as the lease has ended', async () => {
    const lock = await beside().acquire('a', { ttlMs: 200, autoExtend: false })
    const next = await beside({ pollMs: 60_000 }).acquire('a')
    const laterMs = (next.fencingToken - lock.fencingToken) / 1_000
    expect(laterMs).toBeGreaterThanOrEqual(200)
    // The text of the first stands a second or two longer.
    expect(laterMs).toBeLessThan(1_000)
    await next.release()
    expect(await value()).toBeNull()
  })
})

describe('what a process of 2013 does to our text', () => {
  test('one that lost a race writes over it: the lock stays ours, and its release frees it', async () => {
    const [ours, other] = [beside(), beside()]
    const lock = await ours.acquire('a')
    await redis.command('GETSET', KEY, Math.floor(Date.now() / 1_000) + 500)
    expect(await other.tryAcquire('a')).toBeNull()
    expect(await (await old()).attempt()).toBe(false)
    expect(lock.state).toBe('held')
    expect((await lock.release()).released).toBe(true)
    expect(await value()).toBeNull()
    expect(await (await old()).attempt()).toBe(true)
  })

  test('one that releases twice deletes it: other processes of ours stay out, and the next renewal puts it back', async () => {
    const [ours, other, theirs] = [beside(), beside(), await old()]
    await theirs.acquire()
    await theirs.release()
    const lock = await ours.acquire('a')
    await theirs.release()
    expect(await value()).toBeNull()
    expect(await other.tryAcquire('a')).toBeNull()
    await lock.extend()
    expect(await theirs.attempt()).toBe(false)
    await lock.release()
  })

  test.each(['', '.', '.0', '.25', ' '])('a time that ends in %j is respected', async (end) => {
    await redis.command('SET', KEY, `${Math.floor(Date.now() / 1_000) + 100}${end}`)
    expect(await beside().tryAcquire('a')).toBeNull()
  })

  test.each([
    [['SET', KEY, 'someone'], 'holds a string that is no lock of the version of 2013'],
    [['SET', KEY, 'NaN'], 'holds a string that is no lock of the version of 2013'],
    [['HSET', KEY, 'a', 'b'], 'holds data of another type'],
  ])('other data are a conflict, and left alone: %j', async (command, text) => {
    await redis.command(...command)
    const before = await redis.command('DUMP', KEY)
    const error = await errorOf(beside().acquire('a'))
    expect(error).toMatchObject({ code: 'LOCK_CONFLICT', key: 'a', message: expect.stringContaining(`${KEY} ${text}`) })
    expect(await redis.command('DUMP', KEY)).toEqual(before)
  })
})

test.each(['', 'a', '%', '%25', '{a}', '{}', 'a b\n', '%7B', '\u{1F512}'])('the name %j has the key of 2013', async (name) => {
  const theirs = await old({}, `__halocksmith:${name}`)
  const ours = beside()
  const lock = await ours.acquire(name)
  expect(await theirs.attempt()).toBe(false)
  await lock.release()
  await theirs.acquire()
  expect(await ours.tryAcquire(name)).toBeNull()
})

describe('beside processes of this version that use the default protocol', () => {
  test('each waits for the other, and the queue goes first', async () => {
    const [ours, queue] = [beside(), makeLocksmith()]
    const lock = await ours.acquire('a')
    const waiting = queue.acquire('a')
    await waitersOf(queue, 'a')
    const behind = beside().acquire('a')
    await lock.release()
    const second = await waiting
    expect(second.fencingToken).toBeGreaterThan(lock.fencingToken)
    await second.release()
    const third = await behind
    expect(third.fencingToken).toBeGreaterThan(second.fencingToken)
    await third.release()
    await redis.expectOnlyTokens()
  })

  test('the text of one of ours that crashed is no conflict', async () => {
    await beside().acquire('a', { ttlMs: 60_000, autoExtend: false })
    // Long ago by now.
    await redis.command(
      'HDEL',
      '__halocksmith:{a}',
      ...(await redis.command('HKEYS', '__halocksmith:{a}')).filter((f: string) => f !== 'token'),
    )
    const token = `${Date.now() - 60_000}000`
    await redis.command('HSET', '__halocksmith:{a}', 'token', token)
    await redis.command('SET', KEY, `${Math.floor(Date.now() / 1_000) + 1}.${token}`)
    const lock = await makeLocksmith().acquire('a')
    await lock.release()
  })
})

describe('what it refuses', () => {
  test('semaphores, readers, priorities', async () => {
    const ours = beside()
    for (const claim of [
      () => ours.semaphore('a', 3).acquire(),
      () => ours.readWriteLock('a').read.acquire(),
      () => ours.acquire('a', { priority: 1 }),
    ]) {
      const error = await errorOf(claim())
      expect(error).toMatchObject({ code: 'LOCK_OPTION', option: 'protocol' })
    }
    await (await ours.readWriteLock('a').write.acquire()).release()
  })
})

describe('all else works as ever', () => {
  test('loss, a kept name, a withdrawn wait, force, query', async () => {
    const [ours, other] = [beside(), beside()]
    const lock = await ours.acquire('a', { metadata: { who: 'me' }, ttlMs: 1_000 })
    expect(await other.query({ name: 'a' })).toMatchObject({
      held: [{ fencingToken: lock.fencingToken, metadata: { who: 'me' } }],
      pending: [],
    })
    const abort = new AbortController()
    const waiting = errorOf(other.acquire('a', { signal: abort.signal }))
    abort.abort(new Error('enough'))
    expect((await waiting).message).toBe('enough')
    expect(await other.forceRelease('a')).toBe(1)
    expect(await value()).toBeNull()
    await until(() => lock.state === 'lost', { what: 'the loss is noticed' })
    const kept = await other.acquire('a', { minHoldMs: 300 })
    await kept.release()
    expect(await ours.tryAcquire('a')).toBeNull()
    expect(await (await old()).attempt()).toBe(false)
    await (await ours.acquire('a')).release()
  })

  test('force takes the lock of a process of 2013 too', async () => {
    const theirs = await old()
    await theirs.acquire()
    expect(await beside().forceRelease('a')).toBe(1)
    expect(await value()).toBeNull()
    expect(await beside().forceRelease('a')).toBe(0)
  })

  test('claims of one process take turns, and leave nothing', async () => {
    const ours = beside()
    let inside = 0
    await Promise.all(
      Array.from({ length: 40 }, () =>
        ours.using('a', async () => {
          expect(++inside).toBe(1)
          await redis.command('PING')
          inside -= 1
        }),
      ),
    )
    await redis.expectEmpty('__halocksmith:', isLastToken)
  })

  test('the callback of 2013', async () => {
    const lock = makeLegacy({ protocol: 'setnx', retryTimeout: 10, retries: 20, timeout: 60 })
    const theirs = await old()
    await theirs.acquire()
    expect(await errorOf(lock('a'))).toMatchObject({ message: 'maximum retries hit while aquiring lock for: a' })
    await theirs.release()
    const release = await lock('a')
    expect(await theirs.attempt()).toBe(false)
    await release()
    expect(await theirs.attempt()).toBe(true)
  })
})
