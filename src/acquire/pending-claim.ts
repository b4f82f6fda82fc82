/** One acquire of this process that has not been decided yet. */

import type { Tenure } from '../lease/tenure.js'
import type { ClaimRequest } from '../store/store.js'
import type { Timer } from '../util/clock.js'
import type { LineEntry } from '../util/waiting-line.js'
import type { NameQueue } from './name-queue.js'
import type { Seat } from './seat.js'

/** What a claimant asks for; the rest of a {@link ClaimRequest} belongs to the waiting. */
export type Claim = Omit<ClaimRequest, 'id' | 'ticket' | 'queue'>

/** How long, and until what else, to wait. */
export interface Patience {
  /** 0: exactly one attempt. Infinity: no limit. */
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
}

/** A claim that was granted: what it holds the lock under, and its own token. */
export interface Granted {
  /** The claim's own id, by which it can be followed. */
  readonly claimId: string
  readonly tenure: Tenure
  readonly fencingToken: number
}

export class PendingClaim implements LineEntry<PendingClaim> {
  before: PendingClaim | undefined
  behind: PendingClaim | undefined
  /** What was asked of the server for this claim; undefined while those before it in the line wait for the same. */
  seat: Seat | undefined
  /** The line in which it stands; undefined for a single attempt. */
  queue: NameQueue | undefined
  settled = false
  /** It has been told that it waits. */
  announced = false
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
  ) {}

  get priority(): number {
    return this.claim.priority
  }
}

/** Whether a lock that was granted to one of them can go on to the other: for the server they ask for the same, and for as long. */
export function isSame(a: Omit<Claim, 'name' | 'info' | 'priority'>, b: Claim): boolean {
  return a.mode === b.mode && a.permits === b.permits && a.limit === b.limit && a.ttlMs === b.ttlMs
}
