/** One acquire that has not been decided yet. */

import type { ClaimRequest, Grant, StoreFailure } from '../store/store.js'
import type { Timer } from '../util/clock.js'
import type { NameQueue } from './name-queue.js'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** What a claimant asks for; the rest of a {@link ClaimRequest} belongs to the waiting. */
export type Claim = Omit<ClaimRequest, 'id' | 'ticket' | 'queue'>

/** How long, and until what else, to wait. */
export interface Patience {
  /** 0: exactly one attempt. Infinity: no limit. */
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
}

/** A claim that was granted. */
export interface Granted {
  readonly id: string
  readonly grant: Grant
  /** The grant was pushed: short until it is confirmed. */
  readonly pushed: boolean
  /** A request for this claim was never answered and may reach the server yet. */
  readonly stray: boolean
}

export class PendingClaim {
  /** What the store is asked for; the same object each time. */
  readonly request: Mutable<ClaimRequest>
  /** A request is under way. */
  asking = false
  /** Something changed while it was: its answer may be older than that. */
  askAgain = false
  /** The server has said at least once that this claim waits. */
  answered = false
  /** A request of this claim was given to the store. */
  wasSent = false
  stray = false
  settled = false
  /** Why the last request failed; undefined after an answer. */
  problem: StoreFailure | undefined
  failures = 0
  queue: NameQueue<PendingClaim> | undefined
  deadline: Timer | undefined
  stopListening: (() => void) | undefined

  constructor(
    readonly id: string,
    readonly claim: Claim,
    readonly patience: Patience,
    readonly startedAtMs: number,
    /** Decides the claim: granted, or null for busy until the end of the wait. */
    readonly resolve: (granted: Granted | null) => void,
    readonly reject: (reason: unknown) => void,
  ) {
    const { name, mode, permits, limit, ttlMs, priority, info } = claim
    this.request = { name, id, mode, permits, limit, ttlMs, priority, ticket: 0, queue: patience.waitMs !== 0, info }
  }

  /** A single attempt leaves no waiter behind. */
  get once(): boolean {
    return this.patience.waitMs === 0
  }
}
