import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createRequire } from 'node:module'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import halocksmith, { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { everythingIn, type Raw } from '../support/libraries.js'
import { errorOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** A password is in no error, warning or event, and not in what is printed of a locksmith or a lock; by whichever way it was given. */

const redis = useRedis({ password: 'of the admin' })
const require = createRequire(import.meta.url)
const host = '127.0.0.1'
const SECRET = 'pa55/w0rd@:%é"'
const FORMS = [SECRET, encodeURIComponent(SECRET), encodeURI(SECRET), JSON.stringify(SECRET).slice(1, -1), 'pa55', 'w0rd']

/** All that the process was told beside the errors. */
const told: unknown[] = []
const note = (what: unknown): void => void told.push(what)
const EVENTS = ['waiting', 'granted', 'held', 'unknown', 'lost', 'released', 'warning'].map((event) => `halocksmith:${event}`)
const closing: (() => unknown)[] = []

beforeAll(() => {
  for (const event of EVENTS) subscribe(event, note)
  process.on('warning', note)
})

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

afterAll(() => {
  for (const event of EVENTS) unsubscribe(event, note)
  process.removeListener('warning', note)
})

function expectNoSecret(...shown: unknown[]): void {
  for (const one of shown) {
    const text = typeof one === 'string' ? one : everythingIn(one)
    for (const form of FORMS) expect(text).not.toContain(form)
  }
}

interface Login {
  readonly username: string
  readonly password: string
}

const url = ({ username, password }: Login): string => `redis://${username}:${encodeURIComponent(password)}@${host}:${redis.port}`

const WAYS: Record<string, (login: Login) => LocksmithOptions | Promise<LocksmithOptions>> = {
  'a URL': (login) => ({ url: url(login) }),
  'a URL as a node': (login) => ({ nodes: [url(login)] }),
  'a URL among the options of the client': (login) => ({ redis: { url: url(login) } }),
  'options of the client': (login) => ({ nodes: [redis.port], redis: login }),
  'a node': (login) => ({ nodes: [{ host, port: redis.port, ...login }] }),
  'ioredis 6': (login) => ioredis('ioredis-6', { port: redis.port, host, ...login }),
  'ioredis 6, a URL': (login) => ioredis('ioredis-6', url(login)),
  'ioredis 5': (login) => ioredis('ioredis-5', { port: redis.port, host, ...login }),
  iovalkey: (login) => ioredis('iovalkey', { port: redis.port, host, ...login }),
  'redis 6': (login) => nodeRedis('redis-6', { socket: { port: redis.port }, ...login }),
  'redis 6, a URL': (login) => nodeRedis('redis-6', { url: url(login) }),
  'redis 5': (login) => nodeRedis('redis-5', { socket: { port: redis.port }, ...login }),
  'redis 4': (login) => nodeRedis('redis-4', { socket: { port: redis.port }, ...login }),
}

function ioredis(module: string, options: object | string): LocksmithOptions {
  const client = new (require(module).Redis)(options)
  client.on('error', () => {})
  closing.push(() => client.disconnect())
  return { client }
}

function nodeRedis(module: string, options: object): LocksmithOptions {
  const client: Raw = require(module).createClient(options)
  client.on('error', () => {})
  client.connect().catch(() => {})
  closing.push(() => client.isOpen && client.disconnect())
  return { client }
}

function open(options: LocksmithOptions): Locksmith {
  const locksmith = createLocksmith(inMode(options))
  closing.push(() => locksmith.close())
  return locksmith
}

/** What somebody might print. */
function printed(thing: object): string[] {
  return [inspect(thing, { depth: 20, showHidden: true, customInspect: false }), JSON.stringify(thing) ?? '']
}

test.each(Object.keys(WAYS))('given by %s', { timeout: 30_000 }, async (way) => {
  const optionsFor = WAYS[way] as NonNullable<(typeof WAYS)[string]>
  const login = { username: 'app', password: SECRET }
  await redis.command('ACL', 'SETUSER', 'app', 'reset', 'on', '>another', '~*', '&*', '+@all')
  const wrong = open(await optionsFor(login))
  const refused = await errorOf(wrong.acquire('a', { waitMs: 2_000 }))
  expect(refused).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('WRONGPASS') })
  expectNoSecret(refused, refused.message, refused.stack, ...printed(wrong), await errorOf(wrong.query()))
  await redis.command('ACL', 'SETUSER', 'app', `>${SECRET}`)
  const locksmith = open(await optionsFor(login))
  const lock = await locksmith.acquire('a', { ttlMs: 600, metadata: { who: 'me' } })
  const many = await locksmith.acquire(['b', 'c'])
  expectNoSecret(...printed(lock), ...printed(many), ...printed(locksmith.mutex('a')), await locksmith.query(), lock.serialize())
  told.length = 0
  await redis.command('ACL', 'SETUSER', 'app', '-evalsha', '-eval')
  await until(() => lock.state !== 'held', { what: 'a renewal is refused' })
  expectNoSecret(await errorOf(lock.extend()), await errorOf(locksmith.acquire('d')), await errorOf(many.release()))
  await redis.command('ACL', 'DELUSER', 'app')
  await until(() => lock.signal.aborted, { what: 'the lock is lost' })
  expectNoSecret(lock.signal.reason, await errorOf(locksmith.acquire('e', { waitMs: 1_000 })), await errorOf(locksmith.forceRelease('a')))
  await locksmith.close()
  expectNoSecret(await errorOf(locksmith.acquire('f')), ...printed(locksmith))
  expect(told).not.toEqual([])
  expectNoSecret(...told)
})

test('given to the function of 2013', async () => {
  await redis.command('ACL', 'SETUSER', 'default', `>${SECRET}`)
  const lock = halocksmith({ nodes: [redis.port], auth_pass: SECRET })
  closing.push(() => lock.close())
  const release = await lock('a')
  expectNoSecret(...printed(lock), ...printed(release), ...printed(lock.locksmith))
  await release()
})

test.each([
  { url: `redis://app:${SECRET}@` },
  { url: `redis//app:${SECRET}@h` },
  { nodes: [`app:${SECRET}@h:1`] },
  { nodes: [{ host: 5, password: SECRET }] },
  { nodes: [{ port: 'x', password: SECRET }] },
  { redis: { password: SECRET, db: 'x' } },
  { redis: { password: SECRET }, client: {} },
  { redis: { password: SECRET, url: 5 } },
  { nodes: [1], redis: { url: `redis://app:${SECRET}@h` } },
  { url: `redis://app:${encodeURIComponent(SECRET)}@h`, nodes: [1] },
  { passwort: SECRET },
  { nodes: `redis://app:${SECRET}@h` },
  { nodes: [{ host: { url: `redis://app:${SECRET}@h` } }] },
  { store: `redis://app:${SECRET}@h` },
  { client: `redis://app:${SECRET}@h` },
  { redis: `redis://app:${SECRET}@h` },
  { prefix: 5, url: `redis://app:${SECRET}@h` },
  `redis://app:${SECRET}@h`,
])('an option that is wrong: %#', (options) => {
  let refusal: unknown
  try {
    createLocksmith(options as LocksmithOptions)
  } catch (error) {
    refusal = error
  }
  expect(refusal).toMatchObject({ code: 'LOCK_OPTION' })
  expectNoSecret(refusal)
})
