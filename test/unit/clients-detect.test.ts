import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toRedisClient } from '../../src/clients/index.js'
import { LockOptionError } from '../../src/errors.js'
import type { Raw } from '../support/libraries.js'

/** Real objects of every library, none of them ready: what they connect to never answers. */

const require = createRequire(import.meta.url)
const ends: (() => unknown)[] = []
const silent = createServer()
const nowhere = { host: '127.0.0.1', port: 0 }
const nodes = [nowhere]

beforeAll(async () => {
  await new Promise<void>((resolve) => silent.listen(0, nowhere.host, resolve))
  nowhere.port = (silent.address() as AddressInfo).port
})

afterAll(() => {
  for (const end of ends) end()
  // It goes on listening: an old client that was ended before it was connected has no listener for an error any more.
  silent.unref()
})

function nodeRedis(module: string, options: object = {}): Raw {
  return require(module).createClient({ socket: nowhere, ...options })
}

function ioredis(module: string, options: object = {}): Raw {
  const { Redis } = require(module)
  return new Redis({ ...nowhere, lazyConnect: true, ...options })
}

function nodeRedisCluster(module: string): Raw {
  return require(module).createCluster({ rootNodes: [{ socket: nowhere }] })
}

function nodeRedisSentinel(module: string): Raw {
  return require(module).createSentinel({ name: 'm', sentinelRootNodes: nodes })
}

function ioredisCluster(module: string, options: object = {}): Raw {
  const { Cluster } = require(module)
  return new Cluster(nodes, { lazyConnect: true, ...options })
}

function legacy(module: string, options: object = {}): Raw {
  const raw = require(module).createClient(nowhere.port, nowhere.host, options)
  raw.on('error', () => {})
  ends.push(() => raw.end(false))
  return raw
}

const accepted: [string, () => Raw, string][] = [
  ['redis 6', () => nodeRedis('redis-6'), 'node-redis'],
  ['redis 6 withTypeMapping', () => nodeRedis('redis-6').withTypeMapping({}), 'node-redis'],
  ['redis 5', () => nodeRedis('redis-5'), 'node-redis'],
  ['redis 4', () => nodeRedis('redis-4'), 'node-redis'],
  ['redis 4 in legacyMode', () => nodeRedis('redis-4', { legacyMode: true }), 'node-redis'],
  ['@redis/client', () => nodeRedis('@redis/client'), 'node-redis'],
  ['ioredis 6', () => ioredis('ioredis-6'), 'ioredis'],
  ['ioredis 5', () => ioredis('ioredis-5'), 'ioredis'],
  ['iovalkey', () => ioredis('iovalkey'), 'ioredis'],
  ['redis 3', () => legacy('redis-3'), 'legacy'],
  ['redis 2', () => legacy('redis-2'), 'legacy'],
  ['redis 0.7', () => legacy('redis-07'), 'legacy'],
  ['redis 6 cluster', () => nodeRedisCluster('redis-6'), 'node-redis cluster'],
  ['redis 5 cluster', () => nodeRedisCluster('redis-5'), 'node-redis cluster'],
  ['redis 4 cluster', () => nodeRedisCluster('redis-4'), 'node-redis cluster'],
  ['redis 6 sentinel', () => nodeRedisSentinel('redis-6'), 'node-redis sentinel'],
  ['redis 5 sentinel', () => nodeRedisSentinel('redis-5'), 'node-redis sentinel'],
  ['ioredis 6 Cluster', () => ioredisCluster('ioredis-6'), 'ioredis cluster'],
  ['ioredis 5 Cluster', () => ioredisCluster('ioredis-5'), 'ioredis cluster'],
  ['iovalkey Cluster', () => ioredisCluster('iovalkey'), 'ioredis cluster'],
]

test.each(accepted)('%s', async (_, make, library) => {
  const port = toRedisClient(make())
  expect(port).toMatchObject({ library, isUp: false, warnings: [] })
  await port.close()
})

test('haredis, which has no methods for commands yet', async ({ skip }) => {
  if (Number(process.versions.node.split('.')[0]) >= 23) skip('haredis calls util.isArray, which Node has no more')
  const port = toRedisClient(legacy('haredis', { log_level: 0 }))
  expect(port).toMatchObject({ library: 'legacy', wake: 'none', isUp: false })
  await expect(port.command(['PING'])).rejects.toMatchObject({ code: 'CONNECTION' })
})

test.each([
  ['GLIDE', {}, 'glide'],
  ['GLIDE for a Cluster', { invokeScriptWithRoute: () => {} }, 'glide cluster'],
])('%s, which is up from the start', async (_, methods, library) => {
  const port = toRedisClient({ customCommand: async () => 'PONG', isClosed: false, ...methods })
  expect(port).toMatchObject({ library, isUp: true, warnings: [] })
  await port.close()
})

test('a port passes as it is', () => {
  const port = toRedisClient(nodeRedis('redis-6'))
  expect(toRedisClient(port)).toBe(port)
})

const refused: [string, () => Raw, RegExp][] = [
  ['redis 6 pool', () => require('redis-6').createClientPool({ socket: nowhere }), /node-redis pool.*pass a client of redis/],
  ['redis 5 pool', () => require('redis-5').createClientPool({ socket: nowhere }), /node-redis pool.*pass a client of redis/],
  ['redis 6 legacy()', () => nodeRedis('redis-6').legacy(), /legacy\(\) view: pass the client/],
  ['redis 5 legacy()', () => nodeRedis('redis-5').legacy(), /legacy\(\) view: pass the client/],
  ['Bun', () => ({ send: () => {}, duplicate: () => {}, connected: false }), /Bun's RedisClient, which never subscribes again .*: pass/],
  ['a promise', () => Promise.resolve(), /promise: await it/],
  ['the module', () => require('redis-6'), /a module/],
  [
    'options',
    () => ({ host: 'localhost' }),
    /must be a client of redis, @redis\/client, ioredis, iovalkey or @valkey\/valkey-glide; got an object/,
  ],
  ['an address', () => 'redis://localhost', /must be a client .*; got "redis:\/\/localhost"/],
  ['nothing', () => null, /must be a client .*; got null/],
]

test.each(refused)('not %s', (_, make, text) => {
  const value = make()
  expect(() => toRedisClient(value, 'redisClient')).toThrow(LockOptionError)
  expect(() => toRedisClient(value, 'redisClient')).toThrow(text)
  expect(() => toRedisClient(value, 'redisClient')).toThrow(/^redisClient /)
})

describe('warnings', () => {
  test.each([
    ['ioredis 6', () => ioredis('ioredis-6', { keyPrefix: 'app:' })],
    ['ioredis 5', () => ioredis('ioredis-5', { keyPrefix: 'app:' })],
    ['ioredis 6 Cluster', () => ioredisCluster('ioredis-6', { keyPrefix: 'app:' })],
    ['iovalkey Cluster, for its nodes', () => ioredisCluster('iovalkey', { redisOptions: { keyPrefix: 'app:' } })],
    ['redis 3', () => legacy('redis-3', { prefix: 'app:' })],
    ['redis 2', () => legacy('redis-2', { prefix: 'app:' })],
  ])('a key prefix of %s', (_, make) => {
    expect(toRedisClient(make()).warnings).toEqual([{ code: 'KEY_PREFIX', message: expect.stringContaining('"app:"') }])
  })

  test('ioredis with sentinels, unless it detects failovers', () => {
    const options = { sentinels: nodes, name: 'm' }
    expect(toRedisClient(ioredis('ioredis-6', options)).warnings).toMatchObject([{ code: 'FAILOVER_DETECTOR' }])
    expect(toRedisClient(ioredis('ioredis-6', { ...options, failoverDetector: true })).warnings).toEqual([])
  })
})

test('a client that its owner has not connected says what is missing', async () => {
  for (const module of ['redis-4', 'redis-5', 'redis-6']) {
    const port = toRedisClient(nodeRedis(module))
    const heard: string[] = []
    port.watch({ up: () => {}, down: (error) => heard.push(error.message) })
    port.connect()
    expect(heard).toEqual([expect.stringContaining('call its connect()')])
    await expect(port.command(['PING'])).rejects.toMatchObject({
      code: 'CONNECTION',
      message: expect.stringContaining('call its connect()'),
    })
    await expect(port.subscribe('c', { message: () => {}, restored: () => {} })).rejects.toThrow('call its connect()')
    await port.close()
  }
})
