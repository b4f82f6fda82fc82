import { join } from 'node:path'
import { afterEach, expect, inject, test } from 'vitest'
import { freePort, type RedisServer, type StartOptions, startRedis } from '../../scripts/redis-server.mjs'
import type { ClientError, RedisClient } from '../../src/clients/client.js'
import type { NodeRedisOptions } from '../../src/clients/node-redis-wire.js'
import { createOwnedClient } from '../../src/clients/owned.js'
import { activeResources, expectNoMoreResources } from '../support/leaks.js'
import { everythingIn } from '../support/libraries.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** The connection that the library makes itself: what is particular to it, beside the contract of all ports. */

const PASSWORD = 'p@ss/w:rd'

const redis = useRedis()
const clients: RedisClient[] = []
const servers: RedisServer[] = []

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

interface Told {
  readonly ups: number
  readonly downs: ClientError[]
}

function make(options: NodeRedisOptions = {}, port = redis.port): { client: RedisClient; told: Told } {
  const client = createOwnedClient({
    options: { ...options, socket: { host: '127.0.0.1', port, ...options.socket } },
    describe: `127.0.0.1:${port}`,
  })
  clients.push(client)
  return { client, told: listenTo(client) }
}

function listenTo(client: RedisClient): Told {
  const told = { ups: 0, downs: [] as ClientError[] }
  client.watch({ up: () => told.ups++, down: (error) => told.downs.push(error as ClientError) })
  return told
}

async function start(options: StartOptions): Promise<RedisServer> {
  const redisProgram = inject('redisProgram')
  const server = await startRedis({ ...options, redis: redisProgram.path === null ? undefined : redisProgram })
  servers.push(server)
  return server
}

const up = (client: RedisClient): Promise<unknown> => until(() => client.isUp, { what: 'the client is up' })

const recorder = () => {
  const heard: string[] = []
  return { heard, message: (payload: string) => void heard.push(payload), restored: () => void heard.push('restored') }
}

test('it connects when it is used, and not before', async () => {
  const { client } = make()
  await client.close()
  for (const use of [
    (one: RedisClient) => one.connect(),
    (one: RedisClient) => one.command(['PING']).catch((error: ClientError) => expect(error.message).toContain('not connected yet')),
    (one: RedisClient) => one.subscribe('c', recorder()),
  ]) {
    const { client, told } = make()
    expect(await redis.clientList()).toEqual([])
    use(client)
    await until(() => told.ups === 1)
    expect(await client.command(['PING'])).toBe('PONG')
    expect(await redis.clientList()).toHaveLength(1)
    await client.close()
    await until(async () => (await redis.clientList()).length === 0)
  }
})

test('commands and messages share one connection in RESP3, and have two in RESP2', async () => {
  for (const [RESP, connections] of [
    [undefined, 1],
    [3, 1],
    [2, 2],
  ] as const) {
    const { client } = make({ RESP })
    await client.subscribe('c', recorder())
    await client.subscribe('d', recorder())
    expect(await client.command(['PING'])).toBe('PONG')
    expect(await redis.clientList()).toHaveLength(connections)
    await client.close()
    await until(async () => (await redis.clientList()).length === 0)
  }
})

test('a server that knows no HELLO is spoken to in RESP2, and no error shows the password', async () => {
  const server = await start({ password: PASSWORD, args: ['--rename-command', 'HELLO', ''] })
  const { client, told } = make({ password: PASSWORD }, server.port)
  const listener = recorder()
  await client.subscribe('c', listener)
  expect(await client.command(['PING'])).toBe('PONG')
  expect(await server.command('PUBLISH', 'c', 'x')).toBe(1)
  await until(() => listener.heard.length === 1)
  expect(told).toEqual({ ups: 1, downs: [] })

  await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await until(() => told.ups === 2)
  await until(() => listener.heard.at(-1) === 'restored')
  expect(everythingIn(told.downs)).not.toContain(PASSWORD)
})

test('a server that is not there is told of with address and cause, and found when it comes', async () => {
  const port = await freePort()
  const { client, told } = make({}, port)
  await expect(client.subscribe('c', recorder())).rejects.toMatchObject({
    code: 'CONNECTION',
    message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${port}.*ECONNREFUSED|ECONNREFUSED.*127\\.0\\.0\\.1:${port}`)),
  })
  await until(() => told.downs.length >= 3)
  const error = await client.command(['PING']).catch((reason: ClientError) => reason)
  expect(error).toMatchObject({ code: 'CONNECTION', message: expect.stringContaining('ECONNREFUSED') })
  await start({ port })
  await up(client)
  expect(await client.command(['PING'])).toBe('PONG')
})

test('a wrong, a missing and a right password', async () => {
  const server = await start({ password: PASSWORD })
  for (const [options, replyCode] of [
    [{ password: 'wr0ng-secret' }, 'WRONGPASS'],
    [{}, 'NOAUTH'],
    [{ password: 'wr0ng-secret', RESP: 2 }, 'WRONGPASS'],
    [{ username: 'nobody', password: 'wr0ng-secret' }, 'WRONGPASS'],
  ] as const) {
    const { client, told } = make(options, server.port)
    client.connect()
    await until(() => told.downs.length > 0)
    expect(told.downs[0]).toMatchObject({ name: 'ClientError', code: 'REPLY', replyCode })
    await expect(client.command(['PING'])).rejects.toMatchObject({ code: 'REPLY', replyCode })
    expect(everythingIn(told.downs)).not.toContain('wr0ng-secret')
    // Not once every few milliseconds: each is a line in the server's log.
    expect(told.downs).toHaveLength(1)
    await client.close()
  }
  const { client } = make({ password: PASSWORD }, server.port)
  await client.subscribe('c', recorder())
  expect(await client.command(['PING'])).toBe('PONG')
})

test('what the user may not do is an error reply, and the connection stays', async () => {
  await redis.command('ACL', 'SETUSER', 'narrow', 'reset', 'on', `>${PASSWORD}`, '+ping', '+client', '+subscribe', '~*', '&allowed')
  for (const RESP of [2, 3]) {
    const { client, told } = make({ username: 'narrow', password: PASSWORD, RESP })
    client.connect()
    await up(client)
    await expect(client.command(['GET', 'x'])).rejects.toMatchObject({ code: 'REPLY', replyCode: 'NOPERM' })
    await expect(client.subscribe('forbidden', recorder())).rejects.toMatchObject({ code: 'REPLY', replyCode: 'NOPERM' })
    await client.subscribe('allowed', recorder())
    expect(await client.command(['PING'])).toBe('PONG')
    expect(told).toEqual({ ups: 1, downs: [] })
  }
})

test('an address as a URL, with credentials and database', async () => {
  const server = await start({ password: PASSWORD })
  const url = `redis://:${encodeURIComponent(PASSWORD)}@localhost:${server.port}/3`
  const client = createOwnedClient({ options: { url }, describe: `localhost:${server.port}` })
  clients.push(client)
  await client.subscribe('c', recorder())
  expect(await client.command(['CLIENT', 'INFO'])).toContain(' db=3 ')
  const told = listenTo(client)
  await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await until(() => told.ups === 1)
  expect(await client.command(['CLIENT', 'INFO'])).toContain(' db=3 ')
})

test('options that contradict each other fail without showing the URL', async () => {
  const url = `redis://user:${PASSWORD}@localhost:1`
  const client = createOwnedClient({ options: { url, socket: { tls: true } }, describe: 'localhost:1' })
  clients.push(client)
  const told = listenTo(client)
  client.connect()
  await until(() => told.downs.length > 0)
  expect(everythingIn(told.downs)).not.toContain('w:rd')
})

test('a socket in the file system', async () => {
  const path = join(redis.server.folder, 'redis.sock')
  await redis.server.restart({ args: ['--unixsocket', path] })
  const client = createOwnedClient({ options: { socket: { path } }, describe: path })
  clients.push(client)
  await client.subscribe('c', recorder())
  expect(await client.command(['PING'])).toBe('PONG')
})

test('reconnectStrategy: false leaves reconnecting to who needs it', async () => {
  const { client, told } = make({ socket: { reconnectStrategy: false } })
  client.connect()
  await up(client)
  await redis.killClients()
  await until(() => told.downs.length === 1)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(told.ups).toBe(1)
  await expect(client.command(['PING'])).rejects.toMatchObject({ code: 'CONNECTION' })
  await up(client)
  expect(await client.command(['PING'])).toBe('PONG')
})

test('reconnectStrategy gives the delay, and ends it with false or an Error', async () => {
  const port = await freePort()
  for (const end of [false, new Error('enough')] as const) {
    const asked: number[] = []
    const reconnectStrategy = (retries: number, cause: Error) => {
      expect(cause.message).toContain('ECONNREFUSED')
      asked.push(retries)
      return retries < 3 ? 5 : end
    }
    const { client, told } = make({ socket: { reconnectStrategy } }, port)
    client.connect()
    await until(() => asked.length === 3)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(asked).toEqual([1, 2, 3])
    expect(told.downs).toHaveLength(3)
  }
})

test('a server that accepts and says nothing is given up after connectTimeout', async () => {
  const server = await start({})
  await server.pause()
  const { client, told } = make({ socket: { connectTimeout: 100 } }, server.port)
  const before = performance.now()
  await expect(client.subscribe('c', recorder())).rejects.toMatchObject({
    code: 'CONNECTION',
    message: `127.0.0.1:${server.port}: no connection within 100 ms`,
  })
  expect(performance.now() - before).toBeLessThan(1_000)
  server.resume()
  await up(client)
  expect(told.downs.length).toBeGreaterThan(0)
})

test('reconnect() gives up a connection from which nothing comes', async () => {
  const server = await start({})
  const { client, told } = make({}, server.port)
  const listener = recorder()
  await client.subscribe('c', listener)
  await server.pause()
  const unanswered = client.command(['PING']).catch((error: ClientError) => error)
  client.reconnect()
  expect(await unanswered).toMatchObject({ code: 'CONNECTION' })
  expect(client.isUp).toBe(false)
  expect(told.downs[0]?.message).toContain('no answer')
  server.resume()
  await up(client)
  await until(() => listener.heard.includes('restored'))
})

test('all commands under way reject when the server dies, and all works when it is back', async () => {
  const server = await start({})
  const { client, told } = make({}, server.port)
  const listener = recorder()
  await client.subscribe('c', listener)
  await server.pause()
  const outcomes = Array.from({ length: 1_000 }, () => client.command(['PING']).catch((error: ClientError) => error.code))
  await server.restart()
  expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['CONNECTION']))
  await up(client)
  await until(() => listener.heard.includes('restored'))
  expect(await server.command('PUBLISH', 'c', 'x')).toBe(1)
  await until(() => listener.heard.includes('x'))
  expect(told.ups).toBe(2)
})

test('closing it in any state leaves nothing behind', async () => {
  const { client: warm } = make()
  await warm.subscribe('c', recorder())
  await warm.close()
  const before = activeResources()
  const port = await freePort()
  for (const delayMs of [0, 0.2, 0.5, 1, 2, 5, 10]) {
    for (const [one, RESP] of [
      [make({}, redis.port), 3],
      [make({ RESP: 2 }, redis.port), 2],
      [make({}, port), 3],
    ] as const) {
      const { client, told } = one
      client.keepProcessAlive(true)
      const subscribed = client.subscribe('c', recorder()).catch((error: ClientError) => error.code)
      await new Promise((resolve) => (delayMs === 0 ? resolve(null) : setTimeout(resolve, delayMs)))
      await client.close()
      expect(['CLOSED', 'CONNECTION', expect.any(Function)], `RESP ${RESP}`).toContainEqual(await subscribed)
      const downs = told.downs.length
      await new Promise((resolve) => setTimeout(resolve, 5))
      expect(told.downs).toHaveLength(downs)
      expect(client.isUp).toBe(false)
    }
  }
  await until(async () => (await redis.clientList()).length === 0, { what: 'no connection is left' })
  await expectNoMoreResources(before)
})
