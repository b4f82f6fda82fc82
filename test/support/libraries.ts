/** The client libraries that are installed for the tests, each connected by one function. */

import type { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import { inspect } from 'node:util'
import { type Support, supportOf, type Topology } from '../../scripts/client-matrix.mjs'
import type { ReplicaSet } from '../../scripts/redis-replicas.mjs'
import { toRedisClient } from '../../src/clients/detect.js'
import { createOwnedClient } from '../../src/clients/owned.js'
import type { ClientUnderTest } from '../../src/testing/client-conformance.js'

/** The libraries' own types, as far as they have some, differ from version to version. */
export type Raw = any

/** A library on a topology. `Where` is what it connects to. */
export interface Library<Where> extends Support {
  readonly name: string
  /** Which client of `scripts/client-matrix.mjs` it is; absent for our own connections. */
  readonly of?: string
  /** Why it can't be used here. */
  readonly skip: string | undefined
  connect(where: Where): Promise<ClientUnderTest>
}

export interface Seed {
  readonly host: string
  readonly port: number
}

const require = createRequire(import.meta.url)
const host = '127.0.0.1'
const nodeMajor = Number(process.versions.node.split('.')[0])

function library<Where>(of: string, topology: Topology, connect: Library<Where>['connect'], variant = ''): Library<Where> {
  const support = supportOf(of, topology)
  const [unfit, reason] = support.notOnNode?.split(': ') ?? []
  const skip = unfit !== undefined && nodeMajor >= Number(unfit) ? reason : undefined
  return { ...support, name: of + (variant && `, ${variant}`), of, skip, connect }
}

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
  return connected(require(module).createClient(options))
}

async function connected(raw: Raw): Promise<Raw> {
  raw.on('error', () => {})
  await raw.connect()
  return raw
}

async function ready(raw: Raw): Promise<Raw> {
  raw.on('error', () => {})
  await new Promise((resolve) => raw.once('ready', resolve))
  return raw
}

const moduleOf = (name: string): string => name.replace(' ', '-').replace('.', '')

function nodeRedisServer(name: string, variant = '', options: object = {}, ping = (raw: Raw) => raw.ping()): Library<number> {
  const connect = async (port: number) => {
    const raw = await nodeRedis(moduleOf(name), { socket: { host, port }, ...options })
    return owned(
      raw,
      () => ping(raw),
      () => raw.disconnect(),
    )
  }
  return library(name, 'server', connect, variant)
}

function nodeRedisSentinel(name: string): Library<ReplicaSet> {
  return library(name, 'sentinel', async ({ name: group, sentinels }) => {
    const raw = await connected(require(moduleOf(name)).createSentinel({ name: group, sentinelRootNodes: sentinels.map(addressOf) }))
    return owned(
      raw,
      () => raw.sendCommand(false, ['PING']),
      () => raw.destroy(),
    )
  })
}

function nodeRedisCluster(name: string): Library<readonly Seed[]> {
  return library(name, 'cluster', async (seeds) => {
    const raw = await connected(require(moduleOf(name)).createCluster({ rootNodes: seeds.map((socket) => ({ socket })) }))
    return owned(
      raw,
      () => raw.sendCommand('key', true, ['PING']),
      () => raw.disconnect(),
    )
  })
}

function ioredisServer(name: string, variant = '', options: object = {}): Library<number> {
  return library(name, 'server', (port) => ioredis(name, { host, port, ...options }), variant)
}

function ioredisSentinel(name: string, variant = '', options: object = { failoverDetector: true }): Library<ReplicaSet> {
  const connect = async ({ name: group, sentinels }: ReplicaSet) =>
    ioredis(name, { name: group, sentinels: sentinels.map(addressOf), sentinelRetryStrategy: () => 20, ...options })
  return library(name, 'sentinel', connect, variant)
}

async function ioredis(name: string, options: object): Promise<ClientUnderTest> {
  const { Redis } = require(moduleOf(name))
  return ofIoredis(await ready(new Redis(options)))
}

function ioredisCluster(name: string, variant = '', options: object = {}): Library<readonly Seed[]> {
  const connect = async (seeds: readonly Seed[]) => {
    const { Cluster } = require(moduleOf(name))
    return ofIoredis(await ready(new Cluster(seeds, options)))
  }
  return library(name, 'cluster', connect, variant)
}

function ofIoredis(raw: Raw): ClientUnderTest {
  return owned(
    raw,
    () => raw.ping(),
    () => raw.disconnect(),
  )
}

function glideServer(variant = '', options: object = {}): Library<number> {
  return library('GLIDE', 'server', (port) => glide('GlideClient', { addresses: [{ host, port }], ...options }), variant)
}

function glideCluster(): Library<readonly Seed[]> {
  return library('GLIDE', 'cluster', (seeds) => glide('GlideClusterClient', { addresses: seeds.map(addressOf) }))
}

async function glide(kind: 'GlideClient' | 'GlideClusterClient', options: object): Promise<ClientUnderTest> {
  const module = require('@valkey/valkey-glide')
  // It prints error replies, wherever they go.
  module.Logger.setLoggerConfig('off')
  // Its default has it wait for seconds.
  const connectionBackoff = { numberOfRetries: 3, factor: 20, exponentBase: 2 }
  const raw = await module[kind].createClient({ connectionBackoff, ...options })
  return { client: toRedisClient(raw), ownerPing: () => raw.ping({ decoder: module.Decoder.String }), dispose: async () => raw.close() }
}

function legacyServer(name: string, variant = '', options?: object): Library<number> {
  const connect = async (port: number) => {
    const raw = await ready(require(moduleOf(name)).createClient(port, host, options))
    const ping = () =>
      new Promise((resolve, reject) => raw.ping((error: unknown, reply: unknown) => (error ? reject(error) : resolve(String(reply)))))
    return owned(raw, ping, () => raw.end(false))
  }
  return library(name, 'server', connect, variant)
}

function ownServer(variant = '', options: object = {}): Library<number> {
  return {
    name: `our own connection${variant && `, ${variant}`}`,
    wake: 'publish',
    hears: 'the same connection',
    skip: undefined,
    connect: async (port) => {
      const client = createOwnedClient({ options: { socket: { host, port }, ...options }, describe: `${host}:${port}` })
      client.connect()
      return { client, dispose: async () => {} }
    },
  }
}

const addressOf = ({ host, port }: Seed): Seed => ({ host, port })
const version4Ping = (raw: Raw): Promise<unknown> => raw.v4.ping()
/** GLIDE's number for it. */
const BYTES = 0

/** On one server, by its port. */
export const LIBRARIES: readonly Library<number>[] = [
  ownServer(),
  ownServer('RESP2', { RESP: 2 }),
  nodeRedisServer('redis 6'),
  nodeRedisServer('redis 6', 'RESP2', { RESP: 2 }),
  nodeRedisServer('redis 6', 'disableOfflineQueue', { disableOfflineQueue: true }),
  nodeRedisServer('redis 5'),
  nodeRedisServer('redis 5', 'RESP3', { RESP: 3 }),
  nodeRedisServer('redis 4'),
  nodeRedisServer('redis 4', 'legacyMode', { legacyMode: true }, version4Ping),
  ioredisServer('ioredis 6'),
  ioredisServer('ioredis 6', 'RESP2', { protocol: 2 }),
  ioredisServer('ioredis 5'),
  ioredisServer('ioredis 5', 'auto-pipelining', { enableAutoPipelining: true }),
  ioredisServer('iovalkey'),
  glideServer(),
  glideServer('lazyConnect, bytes by default', { lazyConnect: true, defaultDecoder: BYTES }),
  legacyServer('redis 3', '', {}),
  legacyServer('redis 3', 'return_buffers', { return_buffers: true }),
  legacyServer('redis 2', '', {}),
  legacyServer('redis 0.7'),
  legacyServer('haredis', '', { log_level: 0 }),
]

export const SENTINEL_LIBRARIES: readonly Library<ReplicaSet>[] = [
  nodeRedisSentinel('redis 6'),
  nodeRedisSentinel('redis 5'),
  ioredisSentinel('ioredis 6'),
  ioredisSentinel('ioredis 5'),
  ioredisSentinel('iovalkey'),
]

/** On a Cluster, by some of its nodes. */
export const CLUSTER_LIBRARIES: readonly Library<readonly Seed[]>[] = [
  nodeRedisCluster('redis 6'),
  nodeRedisCluster('redis 5'),
  nodeRedisCluster('redis 4'),
  ioredisCluster('ioredis 6'),
  ioredisCluster('ioredis 5'),
  ioredisCluster('ioredis 5', 'scaleReads', { scaleReads: 'slave' }),
  ioredisCluster('iovalkey'),
  glideCluster(),
]

/** A library of one of these lists. */
export function byName<Where>(libraries: readonly Library<Where>[], name: string): Library<Where> {
  const found = libraries.find((one) => one.name === name)
  if (!found) throw new Error(`no library ${name}`)
  return found
}

/** All that a person or a log would see of an error. */
export const everythingIn = (error: unknown): string => inspect(error, { depth: 9, showHidden: true })
