/**
 * Units, defaults and bounds, in one place. Options are resolved once, into frozen objects; the caller's objects are never changed.
 * What is wrong is told with its value, the bound and the reason before any command is sent.
 */

import { HIDDEN, LockOptionError } from './errors.js'
import { safetyMarginMs } from './lease/validity.js'

/** A Redis server: `'host:port'`, `'host'`, a port, or an object whose other members go to the client (`{ host, port, password, … }`). */
export type NodeAddress = string | number | { host?: string; port?: number; [option: string]: unknown }

export const DEFAULT_PREFIX = '__halocksmith:'
const DEFAULT_TTL_MS = 30_000

/** No lease or wait may be longer: a year. A wait may be Infinity. */
export const LONGEST_MS = 365 * 24 * 3_600_000
/** A shorter lease leaves too little beside its safety margin. */
const SHORTEST_TTL_MS = 20
/** More permits than this can't be counted in a name. */
const MOST_PERMITS = 2 ** 31 - 1
const MOST_REPLICAS = 100
const LONGEST_NAME_BYTES = 512
const LARGEST_METADATA_BYTES = 4_096

export interface AcquireOptions {
  /** The lease, in ms: how long the server keeps the lock for a holder that shows no life. Default 30,000; renewed at a third of it. */
  ttlMs?: number | undefined
  /** How long to wait for a busy lock, in ms. Default Infinity; 0 is exactly one attempt. */
  waitMs?: number | undefined
  /** Ends the wait when it aborts: the acquire rejects with its reason. Without effect after the grant. */
  signal?: AbortSignal | undefined
  /** Higher goes first, whole numbers from −1,000,000 to 1,000,000. Default 0; equal priorities go by arrival. */
  priority?: number | undefined
  /** Renew the lease while the lock is held. Default true. */
  autoExtend?: boolean | undefined
  /** Renewals end so that the lease is over this long after the grant, in ms. Default: no limit. */
  maxHoldMs?: number | undefined
  /** A release lets others in no sooner than this after the grant, in ms (the release itself resolves at once). Default 0. */
  minHoldMs?: number | undefined
  /**
   * So many replicas must have the grant, and each renewal, before it counts; a whole number up to 100. Default 0: replicas are not asked.
   * With fewer, the acquire fails at once with `LOCK_UNAVAILABLE`, and a held lock's state is `unknown` until they answer or its lease ends.
   */
  minReplicas?: number | undefined
  /** Shown to people who look at who holds and who waits; at most 4,096 bytes as JSON. */
  metadata?: Record<string, string> | undefined
}

export interface ResolvedAcquireOptions {
  readonly ttlMs: number
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
  readonly priority: number
  readonly autoExtend: boolean
  readonly maxHoldMs: number
  readonly minHoldMs: number
  readonly minReplicas: number
  readonly metadata: Readonly<Record<string, string>> | undefined
}

/** How often, and for how long, a lock goes from one claim of a process to the next while claims of other processes wait. */
export interface HandOverLimits {
  /** 0: never, also while nobody else waits; and each claim has a place of its own in the server's queue. */
  readonly most: number
  readonly forMs: number
}

export const ACQUIRE_DEFAULTS: ResolvedAcquireOptions = Object.freeze({
  ttlMs: DEFAULT_TTL_MS,
  waitMs: Number.POSITIVE_INFINITY,
  signal: undefined,
  priority: 0,
  autoExtend: true,
  maxHoldMs: Number.POSITIVE_INFINITY,
  minHoldMs: 0,
  minReplicas: 0,
  metadata: undefined,
})

const ACQUIRE_KEYS = new Set(Object.keys(ACQUIRE_DEFAULTS))

/** Checks and completes acquire options; `base` has what the locksmith and the recipe say already. */
export function resolveAcquireOptions(options: AcquireOptions | undefined, base: ResolvedAcquireOptions): ResolvedAcquireOptions {
  if (options === undefined) return base
  checkObject('options', options)
  // A semaphore takes it out of its options; anywhere else it would be ignored without a word.
  if ('permits' in options) throw new LockOptionError('permits', options.permits, 'is an option of a semaphore only')
  refuseUnknown(options, ACQUIRE_KEYS, 'an acquire')
  const ttlMs = options.ttlMs === undefined ? base.ttlMs : checkTtlMs(options.ttlMs)
  const resolved: ResolvedAcquireOptions = Object.freeze({
    ttlMs,
    waitMs: options.waitMs === undefined ? base.waitMs : checkWaitMs(options.waitMs),
    signal: options.signal === undefined ? base.signal : checkSignal(options.signal),
    priority: options.priority === undefined ? base.priority : checkWhole('priority', options.priority, -1_000_000, 1_000_000),
    autoExtend: options.autoExtend === undefined ? base.autoExtend : checkBoolean('autoExtend', options.autoExtend),
    maxHoldMs: options.maxHoldMs === undefined ? base.maxHoldMs : checkMaxHoldMs(options.maxHoldMs),
    minHoldMs: options.minHoldMs === undefined ? base.minHoldMs : checkWhole('minHoldMs', options.minHoldMs, 0, LONGEST_MS),
    minReplicas: options.minReplicas === undefined ? base.minReplicas : checkMinReplicas(options.minReplicas),
    metadata: options.metadata === undefined ? base.metadata : checkMetadata(options.metadata),
  })
  if (resolved.minHoldMs > resolved.maxHoldMs) {
    throw new LockOptionError('minHoldMs', resolved.minHoldMs, `must not be larger than maxHoldMs, which is ${resolved.maxHoldMs}`)
  }
  return resolved
}

/** A lock's name: text of at most 512 bytes in UTF-8. */
export function checkName(name: unknown, option = 'name'): string {
  if (typeof name !== 'string') throw new LockOptionError(option, name, 'must be a string')
  // Most names are short: three bytes a character is the most that UTF-8 needs of UTF-16.
  if (name.length * 3 > LONGEST_NAME_BYTES) {
    const bytes = Buffer.byteLength(name)
    if (bytes > LONGEST_NAME_BYTES) {
      throw new LockOptionError(option, name, `must have at most ${LONGEST_NAME_BYTES} bytes in UTF-8, this one has ${bytes}`)
    }
  }
  if (/[\uD800-\uDFFF]/.test(name) && !isWellFormed(name)) {
    throw new LockOptionError(option, name, 'must be well-formed text: it has half of a surrogate pair, which has no form in UTF-8')
  }
  return name
}

/** An array of one or more names, or one name. */
export function checkNames(names: unknown): string[] {
  if (!Array.isArray(names)) return [checkName(names)]
  if (names.length === 0) throw new LockOptionError('names', names, 'must name at least one lock')
  return names.map((name) => checkName(name))
}

export function checkLimit(limit: unknown): number {
  return checkWhole('limit', limit, 1, MOST_PERMITS)
}

export function checkPermits(permits: unknown, limit: number): number {
  const checked = checkWhole('permits', permits, 1, MOST_PERMITS)
  if (checked > limit)
    throw new LockOptionError('permits', permits, `must not be larger than the limit of the semaphore, which is ${limit}`)
  return checked
}

export function checkTtlMs(value: unknown, option = 'ttlMs'): number {
  const ttlMs = checkWhole(option, value, 1, LONGEST_MS)
  if (ttlMs < SHORTEST_TTL_MS) {
    const margin = safetyMarginMs(ttlMs).toFixed(1)
    throw new LockOptionError(option, value, `must be at least ${SHORTEST_TTL_MS} ms: ${margin} ms of it are kept back as safety margin`)
  }
  return ttlMs
}

export function checkWaitMs(value: unknown): number {
  return value === Number.POSITIVE_INFINITY ? value : checkWhole('waitMs', value, 0, LONGEST_MS, ', or Infinity')
}

/** Copied out of an options object before it is used, so that one that changes later has no effect. */
export function checkObject(option: string, value: unknown): asserts value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new LockOptionError(option, value, 'must be an object')
}

export function refuseUnknown(options: object, known: ReadonlySet<string>, of: string): void {
  for (const key of Object.keys(options)) {
    if (!known.has(key)) {
      const value = (options as Record<string, unknown>)[key]
      // Most often it belongs among the options of the client: a password, say.
      throw new LockOptionError(
        key,
        typeof value === 'string' ? HIDDEN : value,
        `is not an option of ${of}; known are ${[...known].sort().join(', ')}`,
      )
    }
  }
}

export function checkMinReplicas(value: unknown): number {
  return checkWhole('minReplicas', value, 0, MOST_REPLICAS)
}

export function checkPrefix(value: unknown): string {
  if (typeof value !== 'string') throw new LockOptionError('prefix', value, 'must be a string')
  if (/\{\}/.test(value) && value.indexOf('{') === value.indexOf('{}')) {
    throw new LockOptionError(
      'prefix',
      value,
      "must not have '{}' as its first braces: the keys of a lock would fall into different Cluster slots",
    )
  }
  if (Buffer.byteLength(value) > LONGEST_NAME_BYTES) {
    throw new LockOptionError('prefix', value, `must have at most ${LONGEST_NAME_BYTES} bytes in UTF-8`)
  }
  return value
}

export function checkWhole(option: string, value: unknown, least: number, most: number, orElse = ''): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new LockOptionError(option, value, `must be a whole number from ${least} to ${most}${orElse}`)
  }
  return value
}

function checkMaxHoldMs(value: unknown): number {
  return value === Number.POSITIVE_INFINITY ? value : checkWhole('maxHoldMs', value, SHORTEST_TTL_MS, LONGEST_MS, ', or Infinity')
}

function checkBoolean(option: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new LockOptionError(option, value, 'must be true or false')
  return value
}

function checkSignal(value: unknown): AbortSignal {
  const signal = value as Partial<AbortSignal> | null
  if (
    typeof signal !== 'object' ||
    signal === null ||
    typeof signal.addEventListener !== 'function' ||
    typeof signal.aborted !== 'boolean'
  ) {
    throw new LockOptionError('signal', value, 'must be an AbortSignal')
  }
  return signal as AbortSignal
}

function checkMetadata(value: unknown): Readonly<Record<string, string>> {
  checkObject('metadata', value)
  // Not by assignment, which loses a key `__proto__`.
  const copy = Object.fromEntries(
    Object.entries(value).map(([key, text]) => {
      if (typeof text !== 'string') throw new LockOptionError(`metadata.${key}`, text, 'must be a string')
      return [key, text]
    }),
  )
  const bytes = Buffer.byteLength(JSON.stringify(copy))
  if (bytes > LARGEST_METADATA_BYTES) {
    throw new LockOptionError('metadata', value, `must have at most ${LARGEST_METADATA_BYTES} bytes as JSON, this has ${bytes}`)
  }
  return Object.freeze(copy)
}

function isWellFormed(text: string): boolean {
  // String.prototype.isWellFormed is in every Node that we run on, and not yet in the language version that we compile for.
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed()
}
