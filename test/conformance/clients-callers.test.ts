import { createRequire } from 'node:module'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { freePort, type RedisServer, type StartOptions, startRedis } from '../../scripts/redis-server.mjs'
import type { ClientError, RedisClient } from '../../src/clients/client.js'
import { toRedisClient } from '../../src/clients/detect.js'
import { byName, everythingIn, LIBRARIES, nodeRedis, type Raw } from '../support/libraries.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** What callers do to, and set on, the clients that they hand over. */

const redis = useRedis()
const require = createRequire(import.meta.url)
const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const recorder = () => {
  const heard: string[] = []
  return { heard, message: (payload: string) => void heard.push(payload), restored: () => void heard.push('restored') }
}

async function microtasks(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await null
}

function port(raw: Raw, end: () => unknown): RedisClient {
  const client = toRedisClient(raw)
  cleanups.push(end, () => client.close())
  return client
}

async function nodeRedisPort(module: string, options: object = {}): Promise<{ raw: Raw; client: RedisClient }> {
  const raw = await nodeRedis(module, { socket: { host: '127.0.0.1', port: redis.port }, ...options })
  return { raw, client: port(raw, () => raw.isOpen && raw.disconnect()) }
}

async function start(options: StartOptions): Promise<RedisServer> {
  const redisProgram = inject('redisProgram')
  const server = await startRedis({ ...options, redis: redisProgram.path === null ? undefined : redisProgram })
  cleanups.push(() => server.stop())
  return server
}

function ioredis(module: string, options: object): Raw {
  const { Redis } = require(module)
  const raw = new Redis({ host: '127.0.0.1', port: redis.port, ...options })
  raw.on('error', () => {})
  cleanups.push(() => raw.disconnect())
  return raw
}

describe('node-redis, with replies of other types than text', () => {
  const { RESP_TYPES } = require('redis-6')
  const typeMapping = { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.SIMPLE_STRING]: Buffer, [RESP_TYPES.NUMBER]: String }

  test.each([
    ['redis-6', {}],
    ['redis-6', { RESP: 2 }],
    ['redis-5', {}],
    ['redis-5', { RESP: 3 }],
  ] as const)('%s %o', async (module, options) => {
    const raw = await nodeRedis(module, { socket: { port: redis.port }, commandOptions: { typeMapping }, ...options })
    cleanups.push(() => raw.disconnect())
    for (const seen of [raw, raw.withTypeMapping(typeMapping)]) {
      const client = port(seen, () => {})
      const listener = recorder()
      await client.subscribe('c', listener)
      expect(await client.command(['EVAL', "return {1, 'two', redis.status_reply('OK')}", '0'])).toEqual([1, 'two', 'OK'])
      await redis.command('PUBLISH', 'c', 'text')
      await until(() => listener.heard[0] === 'text')
    }
    expect(Buffer.isBuffer(await raw.sendCommand(['ECHO', 'x']))).toBe(true)
  })

  test('an AbortSignal that the caller set for all commands has no say', async () => {
    const { raw } = await nodeRedisPort('redis-6')
    const client = port(raw.withAbortSignal(AbortSignal.abort()), () => {})
    expect(await client.command(['PING'])).toBe('PONG')
  })
})

test.each(['redis-4', 'redis-5', 'redis-6'])('%s closed by its owner says so', async (module) => {
  for (const end of ['quit', 'disconnect']) {
    const { raw, client } = await nodeRedisPort(module)
    await client.subscribe('c', recorder())
    const downs: ClientError[] = []
    client.watch({ up: () => {}, down: (error) => downs.push(error as ClientError) })
    await raw[end]()
    await until(() => downs.length > 0)
    expect(downs.at(-1)).toMatchObject({ code: 'CLOSED', message: 'the client was closed by its owner' })
    expect(client.isUp).toBe(false)
    await expect(client.command(['PING'])).rejects.toMatchObject({ code: 'CLOSED' })
  }
})

test.each(['ioredis-5', 'ioredis-6', 'iovalkey'])('%s closed by its owner says so', async (module) => {
  for (const end of ['quit', 'disconnect']) {
    const raw = ioredis(module, {})
    await new Promise((resolve) => raw.once('ready', resolve))
    const client = port(raw, () => {})
    const downs: ClientError[] = []
    client.watch({ up: () => {}, down: (error) => downs.push(error as ClientError) })
    await raw[end]()
    await until(() => downs.some((error) => error.code === 'CLOSED'))
    await expect(client.command(['PING'])).rejects.toMatchObject({ code: 'CLOSED', message: 'the client was closed by its owner' })
  }
})

describe.each(['redis-4', 'redis-5', 'redis-6'])('the listeners of the owner of %s', (module) => {
  const make = (): Raw => require(module).createClient({ socket: { port: redis.port, reconnectStrategy: 20 } })

  test.each(['before', 'after'])('that were added %s we used the client hear what happens then', async (when) => {
    const raw = make()
    const heard: string[] = []
    if (when === 'after') await toRedisClient(raw).close()
    raw.on('ready', () => heard.push('ready'))
    raw.on('error', () => heard.push('error'))
    if (when === 'before') await toRedisClient(raw).close()
    await raw.connect()
    cleanups.push(() => raw.disconnect())
    await redis.killClients()
    await until(() => heard.length === 3)
    expect(heard).toEqual(['ready', 'error', 'ready'])
  })

  test('may have deafened what the owner holds, and the port hears all the same', async () => {
    const raw = make()
    raw.once('ready', () => {})
    await raw.connect()
    const client = port(raw, () => raw.disconnect())
    const heard: string[] = []
    client.watch({ up: () => heard.push('up'), down: () => heard.push('down') })
    await redis.killClients()
    await until(() => heard.length === 2)
    expect(heard).toEqual(['down', 'up'])
  })
})

test('connect() tells of a client that its owner closed', async () => {
  for (const module of ['ioredis-6', 'redis-6', 'redis-4']) {
    const raw = module === 'ioredis-6' ? ioredis(module, {}) : await nodeRedis(module, { socket: { port: redis.port } })
    const client = port(raw, () => {})
    await until(() => client.isUp)
    await raw.quit()
    await until(() => !client.isUp && (raw.status ?? 'end') === 'end')
    const downs: ClientError[] = []
    client.watch({ up: () => {}, down: (error) => downs.push(error as ClientError) })
    client.connect()
    expect(downs).toMatchObject([{ code: 'CLOSED' }])
  }
})

test('a client that is connected only after it was handed over', async () => {
  for (const module of ['redis-4', 'redis-5', 'redis-6']) {
    const raw = require(module).createClient({ socket: { port: redis.port } })
    raw.on('error', () => {})
    const client = port(raw, () => raw.disconnect())
    const ups: boolean[] = []
    client.watch({ up: () => ups.push(client.isUp), down: () => {} })
    const connecting = raw.connect()
    expect(client.isUp).toBe(false)
    await expect(client.command(['PING'])).rejects.toMatchObject({ code: 'CONNECTION' })
    await connecting
    expect(ups).toEqual([true])
    expect(await client.command(['PING'])).toBe('PONG')
  }
})

test.each(['ioredis-5', 'ioredis-6', 'iovalkey'])('%s made with lazyConnect connects when a lock is asked for', async (module) => {
  const raw = ioredis(module, { lazyConnect: true })
  const client = port(raw, () => {})
  await new Promise((resolve) => setImmediate(resolve))
  expect(raw.status).toBe('wait')
  client.connect()
  await until(() => client.isUp)
  expect(await client.command(['PING'])).toBe('PONG')
})

describe('a message connection of our own', () => {
  test.each([
    ['redis-4', {}, 1],
    ['redis-5', {}, 1],
    ['redis-5', { RESP: 3 }, 0],
    ['redis-6', { RESP: 2 }, 1],
    ['redis-6', {}, 0],
  ] as const)('%s %o: %i', async (module, options, extra) => {
    const { client } = await nodeRedisPort(module, options)
    expect(await redis.clientList()).toHaveLength(1)
    await Promise.all([client.subscribe('c', recorder()), client.subscribe('d', recorder())])
    expect(await redis.clientList()).toHaveLength(1 + extra)
    await client.close()
    await until(async () => (await redis.clientList()).length === 1)
  })

  test.each(['ioredis-5', 'ioredis-6', 'iovalkey'])('%s, without its ways of sending again', async (module) => {
    const raw = ioredis(module, { commandTimeout: 50, keyPrefix: 'app:', enableAutoPipelining: true })
    await new Promise((resolve) => raw.once('ready', resolve))
    const client = port(raw, () => {})
    const listener = recorder()
    await client.subscribe('c', listener)
    expect(await redis.clientList()).toHaveLength(2)
    await redis.command('PUBLISH', 'c', 'x')
    await until(() => listener.heard[0] === 'x')
  })

  test('lost alone, it comes back while commands go on', async () => {
    for (const [module, options] of [
      ['redis-6', { RESP: 2 }],
      ['redis-4', {}],
    ] as const) {
      const { client } = await nodeRedisPort(module, options)
      const listener = recorder()
      await client.subscribe('c', listener)
      await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
      expect(await client.command(['PING'])).toBe('PONG')
      await until(() => listener.heard.includes('restored'))
    }
  })
})

test('a message connection that gets no answer is given up', async () => {
  const server = await start({})
  const names = ['redis 4', 'redis 5', 'ioredis 6', 'ioredis 5', 'iovalkey', 'redis 3', 'redis 2']
  const made = await Promise.all(names.map((name) => byName(LIBRARIES, name).connect(server.port)))
  for (const { client, dispose } of made) cleanups.push(dispose, () => client.close())
  // Each asks at its first subscription what its connection speaks, and now there is an answer.
  await Promise.all(made.map(({ client }) => client.subscribe('c', recorder())))
  await server.pause()
  for (const { client } of made) client.reconnect()
  await new Promise((resolve) => setTimeout(resolve, 100))
  const errors = await Promise.all(made.map(({ client }) => client.subscribe('d', recorder()).catch((error: ClientError) => error)))
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'CONNECTION', message: expect.stringContaining('no connection within 5000 ms') })
  }
  server.resume()
  await until(async () => {
    const ends = await Promise.all(made.map(({ client }) => client.subscribe('d', recorder()).catch(() => undefined)))
    return ends.every(Boolean)
  })
  expect(await server.command('PUBSUB', 'NUMSUB', 'c', 'd')).toEqual(['c', names.length, 'd', names.length])
})

// A GLIDE client keeps its connection for three seconds after it was closed; glide.test.ts has this for it.
test.each(LIBRARIES.filter(({ skip, silent, wake }) => !skip && !silent && wake !== 'none'))(
  '$name closed while it subscribes leaves no connection behind',
  async ({ connect }) => {
    const { client: warm, dispose: end } = await connect(redis.port)
    await until(() => warm.isUp)
    await warm.subscribe('c', recorder())
    await warm.close()
    await end()
    for (const turns of [0, 1, 2, 3, 5, 8]) await closedAfter(() => microtasks(turns))
    for (const delayMs of [0, 1, 2, 3, 5]) await closedAfter(() => new Promise((resolve) => setTimeout(resolve, delayMs)))

    async function closedAfter(pause: () => Promise<unknown>): Promise<void> {
      const { client, ownerPing, dispose } = await connect(redis.port)
      await until(() => client.isUp)
      const outcome = client.subscribe('c', recorder()).catch((error: ClientError) => error)
      await pause()
      await client.close()
      await outcome
      await until(async () => (await redis.clientList()).length === (ownerPing ? 1 : 0), { what: 'no connection of ours is left' })
      expect(await redis.command('PUBSUB', 'CHANNELS')).toEqual([])
      await dispose()
      await until(async () => (await redis.clientList()).length === 0)
    }
  },
)

test("a subscription on the caller's own connection that ends while that is lost is not renewed", async () => {
  const server = await start({})
  const raw = await nodeRedis('redis-6', { socket: { port: server.port, reconnectStrategy: 20 } })
  const client = port(raw, () => raw.disconnect())
  const end = await client.subscribe('c', recorder())
  await server.kill()
  await until(() => !client.isUp)
  await end()
  await server.restart()
  await until(() => client.isUp)
  expect(await server.command('PUBLISH', 'c', 'x')).toBe(0)
})

describe.each(LIBRARIES.filter(({ skip }) => skip === undefined))('$name', ({ connect, silent, wake }) => {
  test('survives a restart of the server, with its subscriptions', async () => {
    const server = await start({})
    const { client, dispose } = await connect(server.port)
    cleanups.push(dispose, () => client.close())
    await until(() => client.isUp)
    const listener = recorder()
    if (wake !== 'none') await client.subscribe('c', listener)
    const downs: ClientError[] = []
    client.watch({ up: () => {}, down: (error) => downs.push(error as ClientError) })
    await server.kill()
    if (silent) await expect(client.command(['PING'])).rejects.toMatchObject({ code: 'CONNECTION' })
    await until(() => downs.length > 0)
    await expect(client.command(['PING'])).rejects.toMatchObject({ code: 'CONNECTION' })
    await server.restart()
    await until(() => client.isUp, { timeoutMs: 10_000 })
    expect(await client.command(['PING'])).toBe('PONG')
    if (wake === 'none') return
    await until(() => listener.heard.includes('restored'))
    expect(await server.command('PUBLISH', 'c', 'x')).toBe(1)
    await until(() => listener.heard.includes('x'))
  })
})

describe('a refused login reaches who watches, as the server said it', () => {
  const secret = 'wr0ng-secret'
  const cases: [string, (port: number) => Raw][] = [
    ...['redis-4', 'redis-5', 'redis-6'].map((module): [string, (port: number) => Raw] => [
      module,
      (port) => {
        const raw = require(module).createClient({ socket: { port, reconnectStrategy: 20 }, password: secret })
        raw.on('error', () => {})
        raw.connect().catch(() => {})
        cleanups.push(() => raw.isOpen && raw.disconnect())
        return raw
      },
    ]),
    ...['ioredis-5', 'ioredis-6', 'iovalkey'].map((module): [string, (port: number) => Raw] => [
      module,
      (port) => ioredis(module, { port, password: secret }),
    ]),
    ...['redis-2', 'redis-3'].map((module): [string, (port: number) => Raw] => [
      module,
      (port) => {
        const raw = require(module).createClient(port, '127.0.0.1', { password: secret })
        raw.on('error', () => {})
        cleanups.push(() => raw.end(false))
        return raw
      },
    ]),
  ]

  test.each(cases)('%s', async (_, make) => {
    const server = await start({ password: 'right' })
    const client = port(make(server.port), () => {})
    const downs: ClientError[] = []
    client.watch({ up: () => {}, down: (error) => downs.push(error as ClientError) })
    await until(() => downs.length > 0)
    expect(downs[0]).toMatchObject({ code: 'REPLY', replyCode: expect.stringMatching(/^(WRONGPASS|NOAUTH)$/) })
    expect(client.isUp).toBe(false)
    expect(everythingIn(downs)).not.toContain(secret)
  })
})

test('a client that cannot reach its server tells why', async () => {
  const nowhere = await freePort()
  const raw = require('redis-6').createClient({ socket: { port: nowhere, reconnectStrategy: 20 } })
  raw.on('error', () => {})
  raw.connect().catch(() => {})
  const client = port(raw, () => raw.disconnect())
  const downs: ClientError[] = []
  client.watch({ up: () => {}, down: (error) => downs.push(error as ClientError) })
  await until(() => downs.length >= 2)
  expect(downs[0]).toMatchObject({ code: 'CONNECTION', message: expect.stringContaining('ECONNREFUSED') })
})
