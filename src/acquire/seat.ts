/**
 * What was asked of the server for a claim: an id, which the server knows as a waiter or as nothing yet. Many claims of this process that
 * want the same have one seat between them, and it belongs to the first of them; when that one is decided, the next takes the seat over,
 * with its place in the server's queue.
 */

import type { ClaimRequest } from '../store/store.js'
import type { PendingClaim } from './pending-claim.js'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export class Seat {
  /** What the store is asked for; the same object each time. */
  readonly request: Mutable<ClaimRequest>
  /** A request is under way. */
  asking = false
  /** Something changed while it was: its answer may be older than that. */
  askAgain = false
  /** A request was given to the store. */
  wasSent = false
  /** A request was never answered and may reach the server yet. */
  stray = false
  /** Granted, given up or refused: nothing more is asked under this id. */
  over = false
  /** An attempt whose claim was decided otherwise: its answer is waited for, and a grant goes back. */
  unwanted = false
  /** Others were heard to wait since the last request: its answer may be older than that. */
  crowded = false
  /** Requests that failed since the last answer. */
  failures = 0
  /** What the last request showed of the claimant. */
  shownInfo = ''

  constructor(
    /** Whom a grant is for. */
    public pending: PendingClaim,
    queue: boolean,
  ) {
    const { name, mode, permits, limit, ttlMs, priority, info } = pending.claim
    this.request = { name, id: pending.id, mode, permits, limit, ttlMs, priority, ticket: 0, queue, info }
  }

  get id(): string {
    return this.request.id
  }

  /** Another claim that wants the same has it from now on. */
  passTo(pending: PendingClaim): void {
    this.pending = pending
    this.request.info = pending.claim.info
    pending.seat = this
  }
}
