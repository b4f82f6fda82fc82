/** The contract of 2013: a factory of lock functions with callbacks, leases in seconds that are not renewed, and its texts of errors. */

import { LockLostError, LockOptionError, LockTimeoutError } from '../errors.js'
import { createLocksmith, type Locksmith } from '../locksmith.js'
import { checkName, checkTtlMs, checkWhole, LONGEST_MS, type NodeAddress } from '../options.js'
import type { HeldLock } from '../primitives/held-lock.js'

export interface HalocksmithOptions {
  /** The servers' addresses: what they are they are asked, as with a locksmith's `nodes`. Default `['127.0.0.1:6379']`. */
  nodes?: NodeAddress[]
  /** The sentinels' addresses, in place of `nodes`. */
  sentinels?: NodeAddress[]
  /** What the sentinels call the primary; needed where they watch over several. */
  sentinelName?: string
  /** Who promotes a replica when the primary is gone: `none`, the default, or `promote`, as a locksmith's option. */
  failover?: 'none' | 'promote'
  /** How long the primary must have been away for that, in ms: 10,000. */
  failoverAfterMs?: number
  /** What every key begins with. Default `__halocksmith:`. */
  prefix?: string
  /** The lease in SECONDS, not renewed. Default 120; fractions are allowed. */
  timeout?: number
  /** With `retryTimeout`: how long to wait, `retries × retryTimeout`. Default 100; 0 is exactly one attempt. Nothing is polled. */
  retries?: number
  /** In ms. Default 1000. */
  retryTimeout?: number
  /**
   * Default `'queue'`. `'setnx'` shares locks with processes of version 2 while a fleet is upgraded, and polls every `retryTimeout`. See
   * docs/guides/upgrading-from-2013.md.
   */
  protocol?: 'queue' | 'setnx'
  /** A client that the caller made, of any supported library. It is used, and never closed. */
  redisClient?: unknown
  /** Everything else goes to node-redis' `createClient`; `host`, `port`, `password`, `auth_pass` and `db` of old clients are understood. */
  [redisOption: string]: unknown
}

export type LockCallback = (err: Error | null, release?: Release) => void

/**
 * Lets the lock go. The callback gets an error when the lock had expired; the promise rejects with it, but never unhandled.
 * Calling it again does nothing, and answers the same.
 */
export type Release = ((callback?: (err?: Error | null) => void) => Promise<void>) &
  AsyncDisposable & { fencingToken: number; signal: AbortSignal }

export interface LockFunction {
  (callback: LockCallback): void
  (key: string, callback: LockCallback): void
  (key?: string): Promise<Release>
  /** The modern object underneath. */
  locksmith: Locksmith
  close(): Promise<void>
}

/** However short `retryTimeout`: without a queue, every waiter asks the server that often. */
const SHORTEST_POLL_MS = 10

interface Settings {
  readonly ttlMs: number
  readonly waitMs: number
  readonly locksmith: Locksmith
}

/**
 * Makes a lock function. Accepts what the version of 2013 did: options, `'host:port'`, a port, an array of nodes, an object with the keys
 * `0`, `1`, … or `{ host, port }`. The options are not changed.
 *
 * @throws LockOptionError an option is wrong
 */
export function makeLockFunction(options?: HalocksmithOptions | string | number | NodeAddress[]): LockFunction {
  const settings = resolve(options)
  const lock = ((first?: string | LockCallback, second?: LockCallback): unknown => {
    // Other keys than texts were joined to the prefix in 2013, and are still: numbers above all.
    const [key, callback] = typeof first === 'function' ? ['', first] : [String(first ?? ''), second]
    if (callback === undefined) return acquire(settings, key)
    if (typeof callback !== 'function') throw new LockOptionError('callback', callback, 'must be a function')
    acquire(settings, key).then(
      // Out of the promise: what a callback throws goes to the process, as with any callback.
      (release) => setImmediate(callback, null, release),
      (error) => setImmediate(callback, error),
    )
    return undefined
  }) as LockFunction
  lock.locksmith = settings.locksmith
  lock.close = () => settings.locksmith.close()
  return lock
}

/** The class of 2013: an object whose `lock` is the lock function. */
export class HALocksmith {
  readonly lock: LockFunction

  constructor(options?: HalocksmithOptions | string | number | NodeAddress[]) {
    this.lock = makeLockFunction(options)
  }

  /** The modern object underneath. */
  get locksmith(): Locksmith {
    return this.lock.locksmith
  }

  close(): Promise<void> {
    return this.lock.close()
  }
}

async function acquire({ locksmith, ttlMs, waitMs }: Settings, key: string): Promise<Release> {
  checkName(key)
  try {
    return makeRelease(await locksmith.acquire(key, { ttlMs, waitMs, autoExtend: false }), key)
  } catch (error) {
    if (!(error instanceof LockTimeoutError)) throw error
    // The words of 2013, spelling included: programs may look for them.
    throw new LockTimeoutError(`maximum retries hit while aquiring lock for: ${key}`, { key, cause: error })
  }
}

function makeRelease(lock: HeldLock, key: string): Release {
  let released: Promise<void> | undefined
  const release = (callback?: (err?: Error | null) => void): Promise<void> => {
    released ??= releaseOnce(lock, key)
    // Most callers of old look at neither callback nor promise: their process must not end for it.
    released.catch(() => undefined)
    if (typeof callback === 'function') {
      released.then(
        () => setImmediate(callback, null),
        (error) => setImmediate(callback, error),
      )
    }
    return released
  }
  Object.defineProperties(release, {
    fencingToken: { value: lock.fencingToken, enumerable: true },
    signal: { get: () => lock.signal, enumerable: true },
    [Symbol.asyncDispose]: { value: () => release() },
  })
  return release as Release
}

async function releaseOnce(lock: HeldLock, key: string): Promise<void> {
  const outcome = await lock.release()
  if (outcome.reason !== 'lost') return
  throw new LockLostError(`you released your lock after expiration on key: ${key}`, { key, cause: lock.signal.reason })
}

function resolve(given: HalocksmithOptions | string | number | NodeAddress[] | undefined): Settings {
  const { timeout = 120, retries = 100, retryTimeout = 1000, redisClient, ...others } = normalize(given)
  const { nodes, sentinels, sentinelName, failover, failoverAfterMs, protocol, prefix, ...redis } = others
  if (typeof timeout !== 'number' || !(timeout > 0)) throw new LockOptionError('timeout', timeout, 'must be a number of seconds above 0')
  const ttlMs = checkTtlMs(Math.round(timeout * 1000), 'timeout × 1000')
  const attempts = retries === Number.POSITIVE_INFINITY ? retries : checkWhole('retries', retries, 0, LONGEST_MS)
  const betweenMs = checkWhole('retryTimeout', retryTimeout, 0, LONGEST_MS)
  // Not Infinity × 0.
  const waitMs = betweenMs === 0 ? 0 : attempts * betweenMs
  const source = redisClient === undefined ? { nodes, sentinels, sentinelName, failover, failoverAfterMs, redis } : { client: redisClient }
  const shared = protocol === 'setnx' && { pollMs: Math.max(SHORTEST_POLL_MS, betweenMs) }
  const locksmith = createLocksmith({ ...source, ...(prefix !== undefined && { prefix }), protocol, ...shared })
  return { ttlMs, waitMs: waitMs > LONGEST_MS ? Number.POSITIVE_INFINITY : waitMs, locksmith }
}

/** Every accepted form of the options as one: a new object with `nodes`. */
function normalize(given: HalocksmithOptions | string | number | NodeAddress[] | undefined): HalocksmithOptions {
  if (given === undefined || given === null) return {}
  if (typeof given === 'string' || typeof given === 'number') return { nodes: [given] }
  if (Array.isArray(given)) return { nodes: given }
  if (typeof given !== 'object') throw new LockOptionError('options', given, "must be an object, 'host:port', a port or an array of nodes")
  const { nodes, host, port, ...rest } = given as HalocksmithOptions & { host?: string; port?: number }
  const numbered = Object.keys(rest).filter((key) => /^\d+$/.test(key))
  const options: HalocksmithOptions = Object.fromEntries(Object.entries(rest).filter(([key]) => !/^\d+$/.test(key)))
  if (nodes !== undefined) options.nodes = Array.isArray(nodes) ? nodes : [nodes as NodeAddress]
  else if (numbered.length > 0) options.nodes = numbered.map((key) => rest[key] as NodeAddress)
  else if (host !== undefined || port !== undefined) {
    options.nodes = [{ ...(host !== undefined && { host }), ...(port !== undefined && { port }) }]
  }
  return options
}
