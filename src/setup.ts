/** Where a locksmith gets its store from: an address, a client of the caller's, or a store. */

import type { RedisClient } from './clients/client.js'
import { toRedisClient } from './clients/detect.js'
import { createOwnedClient } from './clients/owned.js'
import { LockOptionError } from './errors.js'
import {
  ACQUIRE_DEFAULTS,
  checkMinReplicas,
  checkObject,
  checkPrefix,
  checkTtlMs,
  checkWaitMs,
  checkWhole,
  DEFAULT_PREFIX,
  type HandOverLimits,
  LONGEST_MS,
  type NodeAddress,
  type ResolvedAcquireOptions,
  refuseUnknown,
} from './options.js'
import { hostAndPort, type RedisTarget, targetOfNode, targetOfUrl, targetsOfNodes } from './redis-options.js'
import { NodesStore } from './store/nodes-store.js'
import { RedisStore } from './store/redis/redis-store.js'
import { SetnxStore } from './store/setnx/setnx-store.js'
import type { LockStore } from './store/store.js'

export interface LocksmithOptions {
  /** `redis://user:password@host:port/db`, or `rediss://` for TLS. At most one of `url`, `nodes`, `sentinels`, `client` and `store`; none: 127.0.0.1:6379. */
  url?: string | undefined
  /**
   * The servers' addresses. What they are they are asked at the first use: one server, independent primaries (a majority of which decides), a
   * primary and its replicas (the locksmith follows the primary), sentinels, or a Cluster. A majority of them must answer then. A list that is
   * none of these is refused with LOCK_OPTION when it is first used; it names each node's role.
   */
  nodes?: NodeAddress[] | undefined
  /**
   * The sentinels' addresses, in place of `nodes`: they tell where the primary is, and one that answers is enough. An object may have the
   * sentinels' own `username` and `password`; of `redis` only `socket` goes to them, while all of it goes to the primary.
   */
  sentinels?: NodeAddress[] | undefined
  /**
   * Who promotes a replica when the primary among `nodes` is gone. `none`, the default: somebody else, and the locksmith follows. `promote`: the
   * processes that have this option, one of which does it when a majority of the nodes answers; it needs three nodes or more, that reach each
   * other at these addresses. Sentinels do it better: docs/decisions/0010-promotion.md says why.
   */
  failover?: 'none' | 'promote' | undefined
  /** How long the primary must have been away for that, in ms: 10,000. At least 1,000. */
  failoverAfterMs?: number | undefined
  /** What the sentinels call the primary; needed where they watch over several. */
  sentinelName?: string | undefined
  /** A client that the caller made, of any supported library. It is used, and never closed. */
  client?: unknown
  /** An engine, such as a MemoryStore. It is used, and never closed. */
  store?: LockStore | undefined
  /** What every key and channel begins with. Default `__halocksmith:`. */
  prefix?: string | undefined
  /** The default lease, in ms: 30,000. */
  ttlMs?: number | undefined
  /** The default wait, in ms: Infinity. */
  waitMs?: number | undefined
  /** Options for node-redis' `createClient`: tls, username, password, socket, … */
  redis?: object | undefined
  /**
   * So many replicas must have each grant, and each renewal, before it counts: what the primary alone has is gone when it dies. Default 0.
   * See `AcquireOptions.minReplicas`. The server waits for them on the connection, also a caller's own, for at most a second or a sixth of the
   * lease, and answers nothing else there meanwhile.
   */
  minReplicas?: number | undefined
  /**
   * How often a lock may go from one claim of this process to the next, without asking the server, while claims of other processes wait.
   * Default 16; 0: never, also while nobody else waits. Then every claim has a place of its own in the server's queue, and first come, first
   * served holds between processes as well.
   */
  handOverLimit?: number | undefined
  /** For how long it may, while claims of other processes wait, in ms: the lock goes on to nobody in here after that. Default 50. */
  handOverMs?: number | undefined
  /** How many operations that are asked for in one turn of the event loop travel as one call at most. Default 128; 1: each by itself. */
  batchLimit?: number | undefined
  /**
   * Default `'queue'`. `'setnx'` shares locks with processes of halocksmith 2 (2013), while a fleet is upgraded: on one server, for exclusive
   * claims without priorities, and waiters poll. See docs/guides/upgrading-from-2013.md.
   */
  protocol?: 'queue' | 'setnx' | undefined
  /** With `protocol: 'setnx'`: how often a waiter asks, in ms, less up to a fifth of it at random. From 10; default 1,000, as in 2013. */
  pollMs?: number | undefined
  /** A label for this program, shown to people who look at who holds and who waits; host and process id are added. */
  name?: string | undefined
}

const KNOWN = new Set([
  ...['url', 'nodes', 'client', 'store', 'prefix', 'ttlMs', 'waitMs', 'redis', 'minReplicas', 'name'],
  ...['sentinels', 'sentinelName', 'failover', 'failoverAfterMs'],
  ...['handOverLimit', 'handOverMs', 'batchLimit', 'protocol', 'pollMs'],
])
/** Of these, 16 and 50 ms gave most of what there is to gain (docs/performance.md). */
const HAND_OVER_LIMIT = 16
const HAND_OVER_MS = 50
const SHORTEST_POLL_MS = 10
const MOST_HAND_OVERS = 1_000_000
/** The server does nothing else while it carries out a call: this many operations take it some milliseconds. */
const LARGEST_BATCH = 1_024
/** With two, one that is gone leaves no majority. */
const LEAST_FOR_PROMOTION = 3
const FAILOVER_AFTER_MS = 10_000
const SHORTEST_FAILOVER_MS = 1_000
const SOURCES = ['url', 'nodes', 'sentinels', 'client', 'store'] as const

export interface Setup {
  readonly store: LockStore
  /** Whether the store, with its connection, was made here and is to be closed. */
  readonly ownsStore: boolean
  readonly defaults: ResolvedAcquireOptions
  readonly label: string | undefined
  readonly handOver: HandOverLimits
}

export function resolveLocksmithOptions(options: LocksmithOptions = {}): Setup {
  checkObject('options', options)
  refuseUnknown(options, KNOWN, 'a locksmith')
  const given = SOURCES.filter((source) => options[source] !== undefined)
  if (given.length > 1) throw new LockOptionError(given[1] as string, 'both', `can't be given together with ${given[0]}: choose one`)
  const { ttlMs, waitMs, minReplicas, name, handOverLimit, handOverMs, batchLimit } = options
  if (name !== undefined && (typeof name !== 'string' || name.length > 256)) {
    throw new LockOptionError('name', name, 'must be a string of at most 256 characters')
  }
  const defaults = Object.freeze({
    ...ACQUIRE_DEFAULTS,
    ...(ttlMs !== undefined && { ttlMs: checkTtlMs(ttlMs) }),
    ...(waitMs !== undefined && { waitMs: checkWaitMs(waitMs) }),
    ...(minReplicas !== undefined && { minReplicas: checkMinReplicas(minReplicas) }),
  })
  const prefix = checkPrefix(options.prefix ?? DEFAULT_PREFIX)
  const handOver = {
    most: handOverLimit === undefined ? HAND_OVER_LIMIT : checkWhole('handOverLimit', handOverLimit, 0, MOST_HAND_OVERS),
    forMs: handOverMs === undefined ? HAND_OVER_MS : checkWhole('handOverMs', handOverMs, 1, LONGEST_MS),
  }
  const common = { defaults, label: name, handOver }
  const { store } = options
  if (store !== undefined) return { ...common, store: checkStore(store as LockStore, options), ownsStore: false }
  const limit = batchLimit === undefined ? undefined : checkWhole('batchLimit', batchLimit, 1, LARGEST_BATCH)
  return { ...common, store: storeFor(options, prefix, limit), ownsStore: true }
}

function storeFor(options: LocksmithOptions, prefix: string, batchLimit: number | undefined): LockStore {
  const pollMs = checkProtocol(options)
  const { nodes, sentinels, sentinelName, protocol } = options
  if (protocol === 'setnx') {
    const client = clientFor(options)
    if (client.isCluster) throw new LockOptionError('protocol', 'setnx', 'works on one server, and the client is of a Cluster')
    return new SetnxStore({ client, prefix, batchLimit, pollMs })
  }
  const promoteAfterMs = checkFailover(options)
  if (nodes === undefined && sentinels === undefined) {
    if (sentinelName !== undefined) throw new LockOptionError('sentinelName', sentinelName, 'has no effect without sentinels')
    return new RedisStore({ client: clientFor(options), prefix, batchLimit })
  }
  if (sentinelName !== undefined && (typeof sentinelName !== 'string' || sentinelName === '')) {
    throw new LockOptionError('sentinelName', sentinelName, 'must be a name')
  }
  const { redis = {} } = options
  checkObject('redis', redis)
  const option = nodes === undefined ? 'sentinels' : 'nodes'
  // What the primary wants to know, its sentinels may refuse.
  const forAll = option === 'nodes' ? redis : 'socket' in redis ? { socket: redis.socket } : {}
  // Where the primary is, the sentinels tell; only how it is connected to is known.
  const primary = targetOfNode({}, redis)
  const targets = targetsOfNodes(nodes ?? sentinels, option, forAll)
  const unnamed = targets.find(({ describe }) => hostAndPort(describe) === undefined)
  if (promoteAfterMs !== undefined && unnamed !== undefined) {
    throw new LockOptionError('failover', 'promote', `needs addresses that the nodes can reach each other at, and has ${unnamed.describe}`)
  }
  return new NodesStore({
    option,
    nodes: targets,
    sentinelName,
    primary,
    promoteAfterMs,
    prefix,
    batchLimit,
  })
}

/** How long a primary must have been away before a replica is promoted; undefined: that is not to be done here. */
function checkFailover({ nodes, failover = 'none', failoverAfterMs }: LocksmithOptions): number | undefined {
  if (failover !== 'none' && failover !== 'promote') throw new LockOptionError('failover', failover, "must be 'none' or 'promote'")
  if (failover === 'none') {
    if (failoverAfterMs === undefined) return undefined
    throw new LockOptionError('failoverAfterMs', failoverAfterMs, "has no effect without failover: 'promote'")
  }
  if (!Array.isArray(nodes) || nodes.length < LEAST_FOR_PROMOTION) {
    throw new LockOptionError('failover', failover, 'needs at least three nodes: a majority must be left when one of them is gone')
  }
  if (failoverAfterMs === undefined) return FAILOVER_AFTER_MS
  return checkWhole('failoverAfterMs', failoverAfterMs, SHORTEST_FAILOVER_MS, LONGEST_MS)
}

/** Returns the interval of polling, where one was given. */
function checkProtocol(options: LocksmithOptions): number | undefined {
  const { protocol, pollMs, nodes } = options
  if (protocol !== undefined && protocol !== 'queue' && protocol !== 'setnx') {
    throw new LockOptionError('protocol', protocol, "must be 'queue' or 'setnx'")
  }
  if (protocol === 'setnx' && Array.isArray(nodes) && nodes.length > 1) {
    throw new LockOptionError('nodes', nodes, "must name one node with protocol: 'setnx': the version of 2013 locked on one server")
  }
  for (const option of protocol === 'setnx' ? (['sentinels', 'sentinelName', 'failover', 'failoverAfterMs'] as const) : []) {
    if (options[option] === undefined) continue
    throw new LockOptionError(option, options[option], "can't be given with protocol: 'setnx': the version of 2013 locked on one server")
  }
  if (pollMs === undefined) return undefined
  if (protocol !== 'setnx') throw new LockOptionError('pollMs', pollMs, "has no effect but with protocol: 'setnx': waiters are woken")
  return checkWhole('pollMs', pollMs, SHORTEST_POLL_MS, LONGEST_MS)
}

function clientFor(options: LocksmithOptions): RedisClient {
  if (options.client !== undefined) {
    if (options.redis !== undefined) throw new LockOptionError('redis', options.redis, 'has no effect on a client that was made already')
    return toRedisClient(options.client)
  }
  return createOwnedClient(target(options))
}

/** Of one server: where several are possible, the servers themselves say what they are. */
function target({ url, nodes, redis = {} }: LocksmithOptions): RedisTarget {
  checkObject('redis', redis)
  if (url !== undefined) return targetOfUrl(url, redis)
  return nodes === undefined ? targetOfNode({}, redis) : (targetsOfNodes(nodes, 'nodes', redis)[0] as RedisTarget)
}

function checkStore(store: LockStore, { prefix, redis, batchLimit, protocol, pollMs }: LocksmithOptions): LockStore {
  if (protocol !== undefined) throw new LockOptionError('protocol', protocol, 'has no effect on a store that was made already')
  if (pollMs !== undefined) throw new LockOptionError('pollMs', pollMs, 'has no effect on a store that was made already')
  if (batchLimit !== undefined) throw new LockOptionError('batchLimit', batchLimit, 'has no effect on a store that was made already')
  if (prefix !== undefined) throw new LockOptionError('prefix', prefix, 'has no effect on a store that was made already')
  if (redis !== undefined) throw new LockOptionError('redis', redis, 'has no effect on a store that was made already')
  checkObject('store', store)
  for (const method of ['listen', 'acquire', 'renew', 'release', 'query', 'forceRelease'] as const) {
    if (typeof store[method] !== 'function') throw new LockOptionError('store', store, `must be a LockStore: it has no ${method}()`)
  }
  return store
}
