/** The client libraries that are installed for the tests, each connected by one function. */

import type { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import { inspect } from 'node:util'
import type { RedisClient } from '../../src/clients/client.js'
import { toRedisClient } from '../../src/clients/detect.js'
import { createOwnedClient } from '../../src/clients/owned.js'
import type { ClientUnderTest } from '../../src/testing/client-conformance.js'

/** The libraries' own types, as far as they have some, differ from version to version. */
export type Raw = any

export interface Library {
  readonly name: string
  readonly wake: RedisClient['wake']
  /** Sends unanswered commands again. */
  readonly resends?: boolean
  /** Tells nobody of a lost connection: it is seen when a command fails. */
  readonly silent?: boolean
  /** Why commands that are under way at the same time are not carried out in the order of their sending. */
  readonly unordered?: string
  /** Why it can't be used here. */
  readonly skip?: string
  connect(port: number): Promise<ClientUnderTest>
}

const require = createRequire(import.meta.url)
const host = '127.0.0.1'

/** A caller's client, as its owner sees it. */
function owned(raw: Raw, ping: () => Promise<unknown>, end: () => unknown): ClientUnderTest {
  const emitter = raw as EventEmitter
  // One listener stays on node-redis 5 and later, for an event without a name.
  const events = (): string[] => emitter.eventNames().filter((name) => typeof name === 'string')
  const count = (): number => events().reduce((sum, name) => sum + emitter.listenerCount(name), 0)
  const before = count()
  return {
    client: toRedisClient(raw),
    ownerPing: ping,
    countListeners: () => count() - before,
    dispose: async () => void (await end()),
  }
}

/** Connects a node-redis client of version 4 or later. */
export async function nodeRedis(module: string, options: object): Promise<Raw> {
  const raw = require(module).createClient(options)
  raw.on('error', () => {})
  await raw.connect()
  return raw
}

function nodeRedisLibrary(name: string, module: string, options: object = {}, ping = (raw: Raw) => raw.ping()): Library {
  return {
    name,
    wake: 'publish',
    connect: async (port) => {
      const raw = await nodeRedis(module, { socket: { host, port }, ...options })
      return owned(
        raw,
        () => ping(raw),
        () => raw.disconnect(),
      )
    },
  }
}

function ioredisLibrary(name: string, module: string, options: object = {}): Library {
  return {
    name,
    wake: 'publish',
    resends: true,
    connect: async (port) => {
      const { Redis } = require(module)
      const raw = new Redis({ host, port, ...options })
      raw.on('error', () => {})
      await new Promise((resolve) => raw.once('ready', resolve))
      return owned(
        raw,
        () => raw.ping(),
        () => raw.disconnect(),
      )
    },
  }
}

function legacyLibrary(name: string, module: string, options: object | undefined, wake: RedisClient['wake'], skip?: string): Library {
  return {
    name,
    wake,
    skip,
    connect: async (port) => {
      const raw = require(module).createClient(port, host, options)
      raw.on('error', () => {})
      await new Promise((resolve) => raw.once('ready', resolve))
      const ping = () =>
        new Promise((resolve, reject) => raw.ping((error: unknown, reply: unknown) => (error ? reject(error) : resolve(String(reply)))))
      return owned(raw, ping, () => raw.end(false))
    },
  }
}

function glideLibrary(name: string, options: object = {}): Library {
  return {
    name,
    wake: 'publish',
    silent: true,
    unordered: 'GLIDE sends commands that are under way at the same time in any order',
    connect: async (port) => {
      const { GlideClient, Logger } = require('@valkey/valkey-glide')
      // It prints error replies, wherever they go.
      Logger.setLoggerConfig('off')
      const raw = await GlideClient.createClient({ addresses: [{ host, port }], connectionBackoff: QUICKLY, ...options })
      return { client: toRedisClient(raw), ownerPing: () => raw.ping({ decoder: 1 }), dispose: async () => raw.close() }
    },
  }
}

function ownedLibrary(name: string, options: object = {}): Library {
  return {
    name,
    wake: 'publish',
    connect: async (port) => {
      const client = createOwnedClient({ options: { socket: { host, port }, ...options }, describe: `${host}:${port}` })
      client.connect()
      return { client, dispose: async () => {} }
    },
  }
}

/** GLIDE's default has it wait for seconds. */
const QUICKLY = { numberOfRetries: 3, factor: 20, exponentBase: 2 }
const BYTES = 0

const nodeMajor = Number(process.versions.node.split('.')[0])
const noHaredis = nodeMajor >= 23 ? `haredis calls util.isArray, which Node ${nodeMajor} has no more` : undefined
const version4Ping = (raw: Raw): Promise<unknown> => raw.v4.ping()

export const LIBRARIES: readonly Library[] = [
  ownedLibrary('our own connection'),
  ownedLibrary('our own connection, RESP2', { RESP: 2 }),
  nodeRedisLibrary('redis 6', 'redis-6'),
  nodeRedisLibrary('redis 6, RESP2', 'redis-6', { RESP: 2 }),
  nodeRedisLibrary('redis 6, disableOfflineQueue', 'redis-6', { disableOfflineQueue: true }),
  nodeRedisLibrary('redis 5', 'redis-5'),
  nodeRedisLibrary('redis 5, RESP3', 'redis-5', { RESP: 3 }),
  nodeRedisLibrary('redis 4', 'redis-4'),
  nodeRedisLibrary('redis 4, legacyMode', 'redis-4', { legacyMode: true }, version4Ping),
  ioredisLibrary('ioredis 6', 'ioredis-6'),
  ioredisLibrary('ioredis 6, RESP2', 'ioredis-6', { protocol: 2 }),
  ioredisLibrary('ioredis 5', 'ioredis-5'),
  ioredisLibrary('ioredis 5, auto-pipelining', 'ioredis-5', { enableAutoPipelining: true }),
  ioredisLibrary('iovalkey', 'iovalkey'),
  glideLibrary('GLIDE'),
  glideLibrary('GLIDE, lazyConnect, with bytes as its default', { lazyConnect: true, defaultDecoder: BYTES }),
  legacyLibrary('redis 3', 'redis-3', {}, 'publish'),
  legacyLibrary('redis 3, return_buffers', 'redis-3', { return_buffers: true }, 'publish'),
  legacyLibrary('redis 2', 'redis-2', {}, 'publish'),
  legacyLibrary('redis 0.7', 'redis-07', undefined, 'none'),
  legacyLibrary('haredis', 'haredis', { log_level: 0 }, 'none', noHaredis),
]

/** All that a person or a log would see of an error. */
export const everythingIn = (error: unknown): string => inspect(error, { depth: 9, showHidden: true })
