/** A topology as data: which servers it has, how processes reach their locks, what can fail, and what holds all the same. */

import type { RedisServer } from '../../../scripts/redis-server.mjs'
import type { Source } from '../../support/contender.js'
import type { Random } from '../../support/random.mjs'

export interface Topology<S extends Site = Site> {
  readonly name: string
  start(): Promise<S>
  readonly faults: readonly Fault<S>[]
  /** What is checked beside that which holds everywhere: fencing, that no two holders share a token, and that every claim is told. */
  readonly promises: Promises
  /** Codes of warnings that processes give, rightly. */
  readonly warnings?: readonly string[]
  /** The lease of every claim. */
  readonly ttlMs: number
  /** After the last fault, when `settled` has resolved, every process has every name within this time. */
  readonly recoverMs: number
}

export interface Promises {
  /** No two holders are inside at once. Where it is false, fencing alone protects the data. */
  readonly exclusive: boolean
  readonly because: string
}

/** A topology that runs. */
export interface Site {
  /** How every process reaches its locks. */
  readonly source: Source
  /** Resolves when the servers are as they should be after a fault: a primary is there, and can be written to. */
  settled(): Promise<void>
  /** The servers that have locks now. */
  primaries(): Promise<readonly RedisServer[]>
  /** Keys that stay beside what is left of every name. */
  readonly ownKeys?: readonly string[]
  close(): Promise<void>
}

export interface Fault<S extends Site = Site> {
  readonly what: string
  /** Begins it, and resolves to what ends it. Where chance decides, it decides by `random`. */
  strike(site: S, random: Random): Promise<() => Promise<void> | void>
}
