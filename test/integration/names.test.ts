import { describe, expect, test } from 'vitest'
import { useLocksmiths } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'

/** Names that break naive key making: each is a lock of its own, and comes back exactly as it was given. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

const NAMES = [
  ...['', ' ', '  ', '\t', '\n', 'a\nb', 'a\r\nb', '\0', 'a\0b', '\x7f', '\u2028'],
  ...['{', '}', '{}', '}{', '{a}', 'a}', 'a{', 'a%7D', 'a%7B', 'a%', 'a%25', 'a%257D', '%', '%%', '%7B%7D', '{a}:queue', '{a}:waiters'],
  ...['a', 'A', 'a ', ' a', ':queue', 'inbox:x', '*', '?', '[a]', 'a*', '\\', '\\*', '"', "'", '`', '$(x)', '-', '--', '1', '0', '1.5'],
  ...['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'token', 'mode', 'used', 'undefined', 'null', 'x 1 2 3', 'A s.1 x 1'],
  ...['ä', 'a\u0308', '\u00e4', '\u{1F512}', '\u{1F468}\u200D\u{1F469}', '\ufeff', '\uffff', 'ﬁ', 'İ', '日本', '\u202Eabc'],
  ...['x'.repeat(511), 'x'.repeat(512), 'ä'.repeat(256), '\u{1F512}'.repeat(128), '%'.repeat(512), '{'.repeat(512)],
]
/** 'ä' stands there twice, as composed by the editor and by its escape. */
const UNIQUE = [...new Set(NAMES)]

test('they are many, and different', () => {
  expect(UNIQUE.length).toBeGreaterThan(70)
})

describe('names of every kind', () => {
  test('lock independently of each other, and exclude their own kind', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const locks = await Promise.all(UNIQUE.map((name) => a.tryAcquire(name)))
    expect(locks.map((lock) => lock?.name)).toEqual(UNIQUE)
    expect(await Promise.all(UNIQUE.map((name) => b.tryAcquire(name)))).toEqual(UNIQUE.map(() => null))
    expect(await redis.keys()).toHaveLength(UNIQUE.length)
    const outcomes = await Promise.all(locks.map((lock) => lock?.release()))
    expect(outcomes).toEqual(UNIQUE.map(() => ({ released: true })))
    await redis.expectOnlyTokens()
  })

  test('are found by a query exactly as they were given, alone and all together', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await Promise.all(UNIQUE.map((name) => a.acquire(name)))
    const all = await b.query()
    expect(all.held.map(({ name }) => name).toSorted()).toEqual(UNIQUE.toSorted())
    for (const name of UNIQUE) expect((await b.query({ name })).held.map((info) => info.name)).toEqual([name])
  })

  test('are found by what they begin with, and no others', async () => {
    const locksmith = makeLocksmith()
    await Promise.all(UNIQUE.map((name) => locksmith.acquire(name)))
    for (const prefix of ['', 'a', 'a%', 'a%7', '{', '%', '*', '[', '\\', '__', '\0', '\u{1F512}', 'ä', 'x'.repeat(500)]) {
      const { held } = await locksmith.query({ prefix })
      expect(held.map(({ name }) => name).toSorted()).toEqual(UNIQUE.filter((name) => name.startsWith(prefix)).toSorted())
    }
  })

  test('are handed from one to the next, and freed by force', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await Promise.all(
      UNIQUE.map(async (name) => {
        const first = await a.acquire(name)
        const second = b.acquire(name, { waitMs: 10_000 })
        await first.release()
        const lock = await second
        expect(lock.fencingToken).toBeGreaterThan(first.fencingToken)
        expect(await a.forceRelease(name)).toBe(1)
      }),
    )
    await redis.expectOnlyTokens()
  })

  test('survive being handed over to another locksmith', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire(UNIQUE)
    const restored = await b.restore(lock.serialize())
    expect(restored.names).toEqual(UNIQUE.toSorted())
    await expect(restored.release()).resolves.toEqual({ released: true })
  })

  test('work as semaphores and read-write locks', async () => {
    const locksmith = makeLocksmith()
    for (const name of ['', '{}', '\0', '__proto__', '\u{1F512}']) {
      await locksmith.semaphore(name, 2).using(async () => {
        expect(await locksmith.semaphore(name, 2).tryAcquire({ permits: 2 })).toBeNull()
      })
      await locksmith.readWriteLock(name).write.using(async () => {
        expect(await locksmith.readWriteLock(name).read.tryAcquire()).toBeNull()
      })
    }
  })
})

test.each(['', 'p', '{tag}:', 'a*[b]?\\', 'ä ', '\n'])('with the prefix %j too', async (prefix) => {
  const locksmith = makeLocksmith({ prefix })
  const names = ['', '{}', 'a', 'a}', '*', '\u{1F512}']
  const locks = await Promise.all(names.map((name) => locksmith.acquire(name)))
  expect((await locksmith.query()).held.map(({ name }) => name).toSorted()).toEqual(names.toSorted())
  expect((await locksmith.query({ prefix: 'a' })).held.map(({ name }) => name).toSorted()).toEqual(['a', 'a}'])
  for (const lock of locks) await expect(lock.release()).resolves.toEqual({ released: true })
})

describe('what is said about a claim', () => {
  test.each<Record<string, string>>([
    { a: '' },
    { '': 'x' },
    { a: '<script>' },
    { a: '\0\n\r' },
    { a: '\ud800' },
    { a: '\u{1F512}' },
    { a: 'x'.repeat(4_000) },
  ])('comes back as it was: %j', async (metadata) => {
    const locksmith = makeLocksmith({ name: '"\n<b>\u{1F512}' })
    const lock = await locksmith.acquire('k', { metadata })
    const waiting = locksmith.acquire('k', { metadata })
    const { held } = await locksmith.query({ name: 'k' })
    expect(held[0]).toMatchObject({ metadata, label: '"\n<b>\u{1F512}' })
    await lock.release()
    await (await waiting).release()
  })
})
