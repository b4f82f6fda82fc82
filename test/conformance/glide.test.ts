import { createRequire } from 'node:module'
import { afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import type { ClientError, RedisClient } from '../../src/clients/client.js'
import { toRedisClient } from '../../src/clients/detect.js'
import type { Raw } from '../support/libraries.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** What is different with Valkey GLIDE: it tells nothing of its connection, prints, and hears messages only as it was made to. */

const redis = useRedis()
const spawnWorker = useWorkers()
const { GlideClient, Logger } = createRequire(import.meta.url)('@valkey/valkey-glide')
const cleanups: (() => unknown)[] = []
const secret = 'hunter2-is-a-secret'

beforeAll(() => Logger.setLoggerConfig('off'))

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function glide(options: object = {}): Promise<{ raw: Raw; client: RedisClient; heard: string[] }> {
  const connectionBackoff = { numberOfRetries: 3, factor: 20, exponentBase: 2 }
  const raw = await GlideClient.createClient({ addresses: [{ host: '127.0.0.1', port: redis.port }], connectionBackoff, ...options })
  const client = toRedisClient(raw)
  cleanups.push(
    () => raw.close(),
    () => client.close(),
  )
  const heard: string[] = []
  client.watch({ up: () => heard.push('up'), down: (error) => heard.push(`down ${(error as ClientError).code}`) })
  return { raw, client, heard }
}

const recorder = () => {
  const heard: string[] = []
  return { heard, message: (payload: string) => void heard.push(payload), restored: () => void heard.push('restored') }
}

const silent = { message: () => {}, restored: () => {} }

describe('messages', () => {
  test("are heard beside those of the caller's callback, which hears none of ours", async () => {
    const callers: string[] = []
    const callback = ({ message }: { message: unknown }): void => void callers.push(String(message))
    const { client } = await glide({ pubsubSubscriptions: { channelsAndPatterns: { 0: new Set(['theirs']) }, callback } })
    const listener = recorder()
    await client.subscribe('ours', listener)
    await redis.command('PUBLISH', 'theirs', '1')
    await redis.command('PUBLISH', 'ours', '2')
    await until(() => callers.length > 0 && listener.heard.length > 0)
    expect([callers, listener.heard]).toEqual([['1'], ['2']])
  })

  test('that are no text do not end the process', async () => {
    const { client } = await glide()
    const listener = recorder()
    await client.subscribe('c', listener)
    await redis.command('PUBLISH', 'c', Buffer.from([0xff, 0xfe]))
    await redis.command('PUBLISH', 'c', 'text')
    await until(() => listener.heard.length === 2)
    expect(listener.heard[1]).toBe('text')
  })

  test("a user without the channel's right is refused at once", async () => {
    await redis.command('ACL', 'SETUSER', 'deaf', 'on', `>${secret}`, '~*', '+@all', 'resetchannels')
    const { client } = await glide({ credentials: { username: 'deaf', password: secret } })
    const error = await client.subscribe('c', silent).catch((refusal: ClientError) => refusal)
    expect(error).toMatchObject({ code: 'REPLY', replyCode: 'NOPERM' })
  })

  test('closed while it subscribes leaves no connection behind', async () => {
    const made = await Promise.all(Array.from({ length: 12 }, () => glide()))
    for (const [turns, { client }] of made.entries()) {
      const outcome = client.subscribe('c', silent).catch((error: ClientError) => error)
      if (turns < 6) for (let turn = 0; turn < turns; turn++) await null
      else await new Promise((resolve) => setTimeout(resolve, turns - 6))
      await client.close()
      await outcome
    }
    await until(async () => (await redis.command('PUBSUB', 'CHANNELS')).length === 0)
    await until(async () => (await redis.clientList()).length === made.length)
  })

  test('a client of a class that can not be made again hears none', async () => {
    const { raw } = await glide()
    const wrapped = { customCommand: raw.customCommand.bind(raw), close: () => {} }
    const client = toRedisClient(wrapped)
    expect(client.wake).toBe('none')
    expect(await client.command(['PING'])).toBe('PONG')
    await expect(client.subscribe('c', silent)).rejects.toMatchObject({ code: 'CONNECTION' })
    await client.close()
  })
})

describe('a connection that tells nothing', () => {
  let server: RedisServer

  async function glideOf() {
    const redisProgram = inject('redisProgram')
    server = await startRedis({ redis: redisProgram.path === null ? undefined : redisProgram })
    cleanups.push(() => server.stop())
    return glide({ addresses: [{ host: '127.0.0.1', port: server.port }] })
  }

  test('is seen to be lost by a command, and to stand again without one', async () => {
    const { client, heard } = await glideOf()
    await server.kill()
    await expect(client.command(['SET', 'late', '1'])).rejects.toMatchObject({ code: 'CONNECTION' })
    await until(() => heard.length > 1)
    expect(new Set(heard)).toEqual(new Set(['down CONNECTION']))
    await expect(client.command(['SET', 'late', '1'])).rejects.toMatchObject({ code: 'CONNECTION' })
    await server.restart()
    await until(() => client.isUp)
    expect(heard.at(-1)).toBe('up')
    expect(await client.command(['GET', 'late'])).toBe(null)
  })

  test('closed by its owner says so', async () => {
    const { raw, client, heard } = await glideOf()
    const blocked = client.command(['BLPOP', 'list', '0'])
    blocked.catch(() => {})
    raw.close()
    await expect(blocked).rejects.toMatchObject({ code: 'CLOSED', message: 'the client was closed by its owner' })
    expect(heard).toEqual(['down CLOSED'])
    expect(client.isUp).toBe(false)
    client.connect()
    expect(heard).toEqual(['down CLOSED', 'down CLOSED'])
    await expect(client.command(['PING'])).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

test("the server's error codes are what they are everywhere else", async () => {
  const { client } = await glide()
  for (const code of ['NOPERM', 'LOADING', 'READONLY', 'MOVED', 'CLUSTERDOWN', 'TRYAGAIN', 'MASTERDOWN', 'NOAUTH', 'OOM', 'BUSY', 'ERR']) {
    const error = await client
      .command(['EVAL', `return redis.error_reply('${code} the text')`, '0'])
      .catch((refusal: ClientError) => refusal)
    expect(error).toMatchObject({ code: 'REPLY', replyCode: code, message: expect.stringMatching(/the text$/) })
  }
})

test('replies are as flat as with everyone else, and foreign bytes in them do no harm', async () => {
  const { client } = await glide()
  await redis.command('SET', Buffer.from([0x6b, 0xff]), 'x')
  expect(await client.command(['CONFIG', 'GET', 'maxmemory'])).toEqual(['maxmemory', '0'])
  expect(await client.command(['SCAN', '0', 'COUNT', '1000'])).toEqual(['0', [expect.stringMatching(/^k/)]])
})

test('a lock taken with it prints nothing, and the process ends when its owner has closed it', async () => {
  const worker = spawnWorker('glide.cjs', {}, { env: { PORT: String(redis.port) } })
  expect(await worker.exited).toEqual({ code: 0, signal: null })
  expect(worker.output).toBe('')
})
