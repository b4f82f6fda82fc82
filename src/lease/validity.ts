/**
 * How long a lease may be trusted. Pure arithmetic on monotonic milliseconds.
 *
 * A lease is counted from before the request that granted it was sent, so its true end on the server is never earlier than
 * `validUntilMs`. The margin on top covers what that can't: clocks that run at different rates, and a timer or a microtask that comes
 * late. One hundredth is the drift that the Redlock description allows for (redis.io, "Distributed Locks with Redis", safety arguments).
 */

const DRIFT = 0.01
const FIXED_MS = 10
const LARGEST_MS = 1_000

/** What is kept back of a lease of this length. */
export function safetyMarginMs(leaseMs: number): number {
  return Math.min(LARGEST_MS, FIXED_MS + leaseMs * DRIFT)
}

/** The moment from which a lease is no longer certain: by then its holder must have stopped. */
export function deadlineMs(validUntilMs: number, leaseMs: number): number {
  return validUntilMs - safetyMarginMs(leaseMs)
}

/** A renewal is due when a third of the lease has passed, so that two more attempts fit before the deadline; jittered, never later. */
export function renewalDueMs(deadline: number, leaseMs: number, random = Math.random()): number {
  return deadline - leaseMs * (2 / 3 + random / 15)
}

/** After a renewal that failed: soon enough for several attempts in what is left, not so soon that a struggling server is hammered. */
export function retryDelayMs(remainingMs: number, random = Math.random()): number {
  return Math.min(1_000, Math.max(25, remainingMs / 8)) * (0.75 + random / 2)
}
