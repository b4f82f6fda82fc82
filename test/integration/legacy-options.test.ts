import { createRequire } from 'node:module'
import { inspect, promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import halocksmith, { type HalocksmithOptions, LockOptionError } from '../../src/index.js'
import { useLegacy } from '../support/legacy.js'
import { nodeRedis } from '../support/libraries.js'
import { errorOf, waitersOf } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** Every form in which the version of 2013 took its options: each keeps the defaults and excludes the others. */

const redis = useRedis()
const makeLock = useLegacy(redis)
const require = createRequire(import.meta.url)

const refusal = (options: unknown): LockOptionError => {
  try {
    halocksmith(options as HalocksmithOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(LockOptionError)
    return error as LockOptionError
  }
  throw new Error('it was accepted')
}

describe('the form', () => {
  const address = () => `${redis.host}:${redis.port}`
  const FORMS: Record<string, () => any> = {
    "'host:port'": address,
    "':port'": () => `:${redis.port}`,
    "'port'": () => `${redis.port}`,
    'a port': () => redis.port,
    "['host:port']": () => [address()],
    '[port]': () => [redis.port],
    '[{ host, port }]': () => [{ host: redis.host, port: redis.port }],
    "{ 0: 'host:port' }": () => ({ 0: address() }),
    '{ 0: port }': () => ({ 0: redis.port }),
    '{ host, port }': () => ({ host: redis.host, port: redis.port }),
    '{ port } as text': () => ({ port: `${redis.port}` }),
    "{ nodes: ['host:port'] }": () => ({ nodes: [address()] }),
    "{ nodes: 'host:port' }": () => ({ nodes: address() }),
    '{ nodes: port }': () => ({ nodes: redis.port }),
    'a URL': () => redis.url,
    '{ nodes: [a URL] }': () => ({ nodes: [redis.url] }),
    '{ url }': () => ({ url: redis.url }),
    '{ socket }': () => ({ socket: { host: redis.host, port: redis.port } }),
  }

  test.each(Object.keys(FORMS))('%s keeps prefix, timeout and exclusion', async (form) => {
    const lock = halocksmith(FORMS[form]!())
    const release = await lock('k')
    expect(await redis.keys()).toEqual(['__halocksmith:{k}'])
    const { held } = await lock.locksmith.query({ name: 'k' })
    expect(held[0]?.expiresInMs).toBeGreaterThan(119_000)
    expect(held[0]?.expiresInMs).toBeLessThanOrEqual(120_000)
    const other = makeLock({ retries: 0 })
    expect((await errorOf(other('k'))).message).toBe('maximum retries hit while aquiring lock for: k')
    await release()
    await (await other('k'))()
    await lock.close()
  })

  test.each([
    [true, 'options'],
    [() => {}, 'options'],
    [[], 'nodes'],
    [['a:1', 'a:1'], 'nodes'],
    [{ nodes: [] }, 'nodes'],
    [{ nodes: ['a:1', 'a:1'] }, 'nodes'],
    [{ 0: 'a:1', 1: 'a:1' }, 'nodes'],
    [70_000, 'port'],
    ['x:y:z', 'node'],
    [{ host: '' }, 'node.host'],
    [{ url: 'http://x' }, 'url'],
    [{ prefix: 5 }, 'prefix'],
    [{ redisClient: {} }, 'client'],
  ])('%j is refused because of %s', (options, option) => {
    expect(refusal(options).option).toBe(option)
  })
})

describe('numbers', () => {
  test.each([
    ...[0, -1, '120', Number.NaN, null, true].map((value): [string, unknown] => ['timeout', value]),
    ...[-1, 1.5, '3', Number.NaN, null].map((value): [string, unknown] => ['retries', value]),
    ...[-1, 1.5, '3', Number.NaN, null, Number.POSITIVE_INFINITY].map((value): [string, unknown] => ['retryTimeout', value]),
  ])('%s: %j is refused with its value', (option, value) => {
    const error = refusal({ [option]: value })
    expect(error.option).toBe(option)
    expect(error.message).toContain(`got ${typeof value === 'string' ? JSON.stringify(value) : value}`)
  })

  test.each([0.0001, 0.019, Number.POSITIVE_INFINITY, 1e9])('timeout: %d is refused because of the lease that it would be', (timeout) => {
    expect(refusal({ timeout }).message).toContain('timeout × 1000')
  })
})

describe('an options object', () => {
  test('is not changed, may be frozen, and can be used again', async () => {
    const options = Object.freeze({
      nodes: Object.freeze([redis.port]) as number[],
      prefix: 'mine:',
      timeout: 50,
      retries: 0,
      retryTimeout: 5,
      database: 3,
    })
    const copy = structuredClone(options)
    const [a, b] = [makeLock(options), makeLock(options)]
    expect(options).toEqual(copy)
    await a('k')
    expect((await errorOf(b('k'))).message).toBe('maximum retries hit while aquiring lock for: k')
    const { held } = await b.locksmith.query({ name: 'k' })
    expect(held[0]?.expiresInMs).toBeLessThanOrEqual(50_000)
    expect(options).toEqual(copy)
  })

  test('that changes later has no effect', async () => {
    const options = { nodes: [redis.port], prefix: 'mine:', retries: 0 }
    const lock = makeLock(options)
    Object.assign(options, { prefix: 'yours:', nodes: [1] })
    await lock('k')
    expect(await redis.keys()).toEqual(['mine:{k}'])
  })
})

describe("redis' own options", () => {
  test.each([{ db: 5 }, { database: 5 }])('%j chooses the database', async (options) => {
    await makeLock(options)('k')
    expect(await redis.keys()).toEqual([])
    const client = await redis.connect()
    await client.command('SELECT', 5)
    expect(await client.command('EXISTS', '__halocksmith:{k}')).toBe(1)
  })

  test('name shows in the list of clients', async () => {
    await makeLock({ name: 'my-app' })('k')
    expect((await redis.clientList()).map(({ name }) => name)).toContain('my-app')
  })

  describe('the password', () => {
    const locked = useRedis({ password: 'secret-1' })

    test('opens a server that has one', async () => {
      const { host, port, url } = locked
      const accepted = [{ password: 'secret-1' }, { auth_pass: 'secret-1' }, { username: 'default', password: 'secret-1' }]
      for (const options of [...accepted.map((one) => ({ host, port, ...one })), { url }]) {
        const lock = halocksmith(options)
        await (await lock('k'))()
        await lock.close()
      }
    })

    test.each([{}, { password: 'wrong-2' }, { auth_pass: 'wrong-2' }])(
      'that is wrong is told at once, and is in no error: %j',
      async (options) => {
        const lock = halocksmith({ host: locked.host, port: locked.port, ...options })
        const startMs = performance.now()
        const error = await errorOf(lock('k'))
        // Not after the hundred seconds that it would wait for a busy lock.
        expect(performance.now() - startMs).toBeLessThan(5_000)
        expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: 'k' })
        expect(error.message).toMatch(/NOAUTH|WRONGPASS/)
        expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/secret-1|wrong-2/)
        await lock.close()
      },
    )
  })
})

describe('redisClient', () => {
  interface Owned {
    readonly client: any
    ping(): Promise<unknown>
    end(): unknown
  }

  /** A client of the callback style. */
  const oldStyle = (module: string, ...endArgs: unknown[]): Owned => {
    const client = require(module).createClient(redis.port, redis.host)
    client.on('error', () => {})
    return { client, ping: () => promisify(client.ping).call(client), end: () => client.end(...endArgs) }
  }

  const LIBRARIES: Record<string, () => Promise<Owned>> = {
    'redis 6': async () => {
      const client = await nodeRedis('redis-6', { socket: { host: redis.host, port: redis.port } })
      return { client, ping: () => client.ping(), end: () => client.destroy() }
    },
    'ioredis 6': async () => {
      const client = new (require('ioredis-6').Redis)({ host: redis.host, port: redis.port })
      return { client, ping: () => client.ping(), end: () => client.disconnect() }
    },
    'redis 3': async () => oldStyle('redis-3', false),
    'redis 0.7': async () => oldStyle('redis-07'),
  }

  test.each(Object.keys(LIBRARIES))('of %s is used, and never closed', async (library) => {
    const { client, ping, end } = await LIBRARIES[library]!()
    try {
      // Where to connect is the client's business then.
      const lock = halocksmith({ redisClient: client, nodes: ['127.0.0.1:1'], timeout: 5 })
      const other = makeLock({ retries: 0 })
      const release = await lock('k')
      expect((await errorOf(other('k'))).message).toBe('maximum retries hit while aquiring lock for: k')
      const waiting = lock('k')
      await waitersOf(other.locksmith, 'k')
      await release()
      await (await waiting)()
      await lock.close()
      expect(await ping()).toBeTruthy()
      // The other's own remains.
      await until(async () => (await redis.command('PUBSUB', 'CHANNELS', '*')).length === 1, { what: 'it left its inbox' })
    } finally {
      end()
    }
  })
})
