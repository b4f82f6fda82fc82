import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { deniedIn, extrasFor, isPattern, RIGHTS, recipe } from '../support/acl-recipe.js'
import { nodeRedis } from '../support/libraries.js'
import { errorOf, waitersOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { useRedis } from '../support/redis.js'
import { useReplicaSet } from '../support/replicas.js'
import { until } from '../support/until.js'

/** The user of docs/guides/securing-redis.md: all that there is works with exactly its rights, and each of them is needed for something. */

const PASSWORD = 'a secret of this test'

const redis = useRedis({ args: ['--acllog-max-len', '10000'] })

/** Makes the user, under a name of its own, on a prefix of its own. */
async function addUser(
  name: string,
  rights: readonly string[],
  patterns: readonly string[] = recipe.filter(isPattern),
): Promise<LocksmithOptions> {
  const words = patterns.map((word) => word.replace('__halocksmith:', `${name}:`))
  await redis.command('ACL', 'SETUSER', name, 'reset', 'on', `>${PASSWORD}`, ...words, ...rights)
  return { redis: { username: name, password: PASSWORD }, prefix: `${name}:`, nodes: [redis.port] }
}

/** What a user was refused, as the server says it: commands, keys and channels. */
async function deniedTo(name: string): Promise<string[]> {
  return deniedIn(await redis.command('ACL', 'LOG', '10000'), name)
}

/** A promise that is awaited later, or never where something fails before. */
function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** One deed of each kind; they go on where one fails. */
const DEEDS: Record<string, (a: Locksmith, b: Locksmith, prefix: string) => Promise<unknown>> = {
  'take and give back, from a text that the server has forgotten': async (a) => {
    await redis.command('SCRIPT', 'FLUSH')
    for (let i = 0; i < 2; i++) await (await a.acquire('plain')).release()
  },
  'wait and be woken': async (a, b) => {
    const lock = await a.acquire('wait')
    const waiting = [later(b.acquire('wait')), later(a.acquire('wait', { priority: 1, ttlMs: 5_000 }))]
    await waitersOf(a, 'wait', 2)
    await lock.release()
    for (const next of waiting.toReversed()) await (await next).release()
  },
  'find a name free after a crash': async (a, b) => {
    await a.acquire('crash', { ttlMs: 50, autoExtend: false })
    await (await b.acquire('crash')).release()
  },
  'renew, keep, hand over': async (a, b) => {
    const lock = await a.acquire('keep', { ttlMs: 5_000, minHoldMs: 10 })
    await lock.extend()
    await lock.release()
    const next = await b.acquire('keep')
    const other = await a.restore(next.serialize())
    await other.release()
  },
  'several permits, and who waits for too many': async (a, b) => {
    const semaphore = (locksmith: Locksmith) => locksmith.semaphore('permits', 3)
    const lock = await semaphore(a).acquire({ permits: 2 })
    const second = later(semaphore(b).acquire({ permits: 2 }))
    await waitersOf(a, 'permits')
    const third = later(semaphore(a).acquire({ permits: 3, ttlMs: 60_000 }))
    await waitersOf(a, 'permits', 2)
    await lock.release()
    for (const next of [second, third]) await (await next).release()
  },
  'leases of several lengths': async (a, b) => {
    const { read } = a.readWriteLock('read')
    const locks = [await read.acquire({ ttlMs: 60_000 }), await b.readWriteLock('read').read.acquire({ ttlMs: 1_000 })]
    for (const lock of locks) await lock.release()
    await (await b.readWriteLock('read').write.acquire()).release()
  },
  'give a wait up': async (a, b) => {
    const lock = await a.acquire('abort')
    const abort = new AbortController()
    const waiting = later(errorOf(b.acquire('abort', { signal: abort.signal })))
    await waitersOf(a, 'abort')
    abort.abort()
    await waiting
    await lock.release()
  },
  'wait on although the name was deleted': async (a, b, prefix) => {
    await a.acquire('deleted', { ttlMs: 400, autoExtend: false })
    const waiting = later(b.acquire('deleted'))
    await waitersOf(a, 'deleted')
    await redis.command('DEL', `${prefix}{deleted}`)
    await (await waiting).release()
  },
  'look and take away': async (a, b) => {
    const lock = await a.acquire('force')
    await a.query()
    await b.forceRelease('force')
    await lock.release()
  },
  'name what is in the way': async (a, _, prefix) => {
    await redis.command('SET', `${prefix}{other}`, 'x')
    const error = await errorOf(a.acquire('other'))
    if (!error.message.includes('holds a string that is not ours')) throw error
    await redis.command('SET', `${prefix}2013`, '1')
    const old = await errorOf(a.acquire('2013'))
    if (old.code !== 'LOCK_CONFLICT') throw old
  },
}

/** Does all of it, or as much as there is time for until `enough` resolves, and returns what failed. */
async function doAll(options: LocksmithOptions, enough: Promise<unknown> = new Promise(() => {})): Promise<unknown[]> {
  const failures: unknown[] = []
  let done = false
  void enough.then(() => {
    done = true
  })
  for (const deed of Object.values(DEEDS)) {
    if (done) break
    const [a, b] = [0, 0].map(() => createLocksmith(inMode({ waitMs: 4_000, ...options }))) as [Locksmith, Locksmith]
    const tried = deed(a, b, options.prefix as string).catch((error) => void failures.push(error))
    await Promise.race([tried, enough])
    await Promise.all([a.close(), b.close()])
    await tried
  }
  return failures
}

test('the guide has a recipe', () => {
  expect(recipe.slice(0, 5)).toEqual(['resetkeys', '~__halocksmith:*', 'resetchannels', '&__halocksmith:*', '-@all'])
  expect(RIGHTS.length).toBeGreaterThan(20)
})

test('with exactly these rights everything works, and nothing is refused', async () => {
  const options = await addUser('exact', RIGHTS)
  expect(await doAll(options)).toEqual([])
  expect(await deniedTo('exact')).toEqual([])
})

/** Which of these words nobody misses. All at once: most of the time they wait for what does not come. */
async function unneeded(words: readonly string[]): Promise<string[]> {
  const missed = await Promise.all(
    words.map(async (word, index) => {
      const name = `without${index}`
      const other = (one: string) => one !== word
      const options = await addUser(name, RIGHTS.filter(other), recipe.filter(isPattern).filter(other))
      const isMissed = async () => {
        const denied = await deniedTo(name)
        return isPattern(word) ? denied.some((object) => object.startsWith(`${name}:`)) : denied.includes(word.slice(1))
      }
      const seen = until(isMissed, { timeoutMs: 40_000, everyMs: 100 })
      // It is looked for in vain after all has been done.
      seen.catch(() => {})
      await doAll(options, seen)
      return isMissed()
    }),
  )
  return words.filter((_, index) => !missed[index])
}

test('each right, and each pattern, is needed', { timeout: 60_000 }, async () => {
  expect(await unneeded([...RIGHTS, ...recipe.filter((word) => /^[~&]/.test(word))])).toEqual([])
})

describe('what some uses need besides', () => {
  test.each([
    ['redis 6', ['+client|setinfo'], (login: object) => nodeRedis('redis-6', { socket: { port: redis.port }, ...login })],
    ['ioredis 6', ['+info'], async (login: object) => ioredis(login)],
  ] as const)('a client of the caller’s: %s', async (library, extras, connect) => {
    const name = `by-${library.replace(' ', '')}`
    // Redis before 7.2 does not know all of them.
    const known = (await Promise.all(extras.map(isKnown))).filter((right) => right !== undefined)
    const { redis: login, prefix } = await addUser(name, [...RIGHTS, ...known])
    const client = await connect(login as object)
    try {
      expect(await doAll({ client, prefix })).toEqual([])
      expect(await deniedTo(name)).toEqual([])
    } finally {
      client.disconnect()
    }
  })

  test('the protocol of 2013: set, del', async () => {
    const run = async (options: LocksmithOptions) => {
      const locksmith = createLocksmith(inMode({ ...options, protocol: 'setnx' as const }))
      try {
        const lock = await locksmith.acquire('a')
        await lock.extend()
        await lock.release()
      } finally {
        await locksmith.close()
      }
    }
    await run(await addUser('old', [...RIGHTS, ...extrasFor('`protocol')]))
    expect(await deniedTo('old')).toEqual([])
    expect(extrasFor('`protocol')).toEqual(['+set', '+del'])
    for (const right of ['+set', '+del']) {
      const options = await addUser(`old-without-${right}`, [...RIGHTS, ...['+set', '+del'].filter((one) => one !== right)])
      expect(await errorOf(run(options))).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    }
  })
})

describe('confirmation by replicas', () => {
  const servers = useReplicaSet({ replicas: 1 })

  test('wait', async () => {
    const primary = await servers.set.primary()
    const words = recipe.filter(isPattern)
    for (const [user, rights] of [
      ['with', [...RIGHTS, ...extrasFor('`minReplicas')]],
      ['without', RIGHTS],
    ] as const) {
      await primary.command('ACL', 'SETUSER', user, 'reset', 'on', `>${PASSWORD}`, ...words, ...rights)
    }
    const open = (username: string) =>
      createLocksmith(inMode({ nodes: [primary.port], minReplicas: 1, redis: { username, password: PASSWORD } }))
    const [allowed, refused] = [open('with'), open('without')]
    await (await allowed.acquire('a')).release()
    expect(await errorOf(refused.acquire('a'))).toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      message: expect.stringMatching(/NOPERM.*\bwait\b/),
    })
    // What it could not confirm it gave back.
    await (await allowed.acquire('a', { waitMs: 2_000 })).release()
    await Promise.all([allowed.close(), refused.close()])
  })
})

function ioredis(login: { username?: string; password?: string }) {
  const { Redis } = createRequire(import.meta.url)('ioredis-6')
  return new Redis({ port: redis.port, host: '127.0.0.1', ...login })
}

async function isKnown(right: string): Promise<string | undefined> {
  return redis.command('ACL', 'SETUSER', 'probe', right).then(
    () => right,
    () => undefined,
  )
}
