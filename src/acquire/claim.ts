/** What a claimant asks for, for how long, and what it gets. */

import type { Tenure } from '../lease/tenure.js'
import type { ClaimRequest } from '../store/store.js'

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

/** Whether a lock that was granted to one of them can go on to the other: for the server they ask for the same, and for as long. */
export function isSame(a: Omit<Claim, 'name' | 'info' | 'priority'>, b: Claim): boolean {
  const sameReplicas = (a.minReplicas ?? 0) === (b.minReplicas ?? 0)
  return a.mode === b.mode && a.permits === b.permits && a.limit === b.limit && a.ttlMs === b.ttlMs && sameReplicas
}
