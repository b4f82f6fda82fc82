/** The one timer of a name for which claims wait: it asks although nothing was heard. */

import type { Clock, Timer } from '../util/clock.js'

/** Spread over processes, so that a lease's end does not bring all of them at once. */
const LEASE_END_JITTER_MS = 20

/** A claim that could not be asked for is asked for again after this time, doubled at each failure, up to the regular check. */
const FIRST_RETRY_MS = 100

/** However short the leases, waiters ask no more often than this. */
const SHORTEST_CHECK_MS = 50

/** Checks of all names of a process fall on multiples of this time, so that they travel together. */
const TOGETHER_MS = 50

export class CheckTimer {
  private checkAtMs = Number.POSITIVE_INFINITY
  private leaseEndsAtMs = Number.POSITIVE_INFINITY
  private timer: Timer | undefined
  private timerAtMs = Number.POSITIVE_INFINITY

  constructor(
    private readonly clock: Clock,
    /** Asks for all that wait; or, at a lease's end, for one of them, whichever. */
    private readonly ask: (whom: 'all' | 'one') => void,
  ) {}

  /** The holders' next lease ends then: asking once moves the queue on. */
  expectLeaseEnd(atMs: number): void {
    this.leaseEndsAtMs = atMs + 1 + Math.random() * LEASE_END_JITTER_MS
    this.arm()
  }

  /** All are asked for again after about this time, unless it is due sooner already; the early part of the range is random. */
  checkWithin(delayMs: number): void {
    const atMs = this.clock.now() + delayMs * (0.8 + 0.2 * Math.random())
    // Down, so that none comes too late; of short times this would take too much.
    const together = delayMs < 20 * TOGETHER_MS ? atMs : Math.floor(atMs / TOGETHER_MS) * TOGETHER_MS
    this.checkAtMs = Math.min(this.checkAtMs, together)
    this.arm()
  }

  checkRegularly(everyMs: number, leaseMs: number): void {
    // Whoever gets the lock next may die with it: with short leases, the end of theirs must be heard of in time.
    this.checkWithin(Math.min(everyMs, Math.max(SHORTEST_CHECK_MS, leaseMs / 2)))
  }

  /** After so many failures in a row, and one. */
  retry(everyMs: number, failures: number): void {
    this.checkWithin(Math.min(everyMs, FIRST_RETRY_MS * 2 ** Math.min(failures, 10)))
  }

  stop(): void {
    this.timer?.cancel()
    this.timer = undefined
  }

  private arm(): void {
    const atMs = Math.min(this.checkAtMs, this.leaseEndsAtMs)
    if (this.timer !== undefined && this.timerAtMs <= atMs) return
    this.timer?.cancel()
    this.timerAtMs = atMs
    this.timer = this.clock.after(atMs - this.clock.now(), () => this.fire())
  }

  private fire(): void {
    this.timer = undefined
    const nowMs = this.clock.now()
    if (nowMs >= this.checkAtMs) {
      this.checkAtMs = Number.POSITIVE_INFINITY
      this.leaseEndsAtMs = Number.POSITIVE_INFINITY
      this.ask('all')
    } else if (nowMs >= this.leaseEndsAtMs) {
      this.leaseEndsAtMs = Number.POSITIVE_INFINITY
      this.ask('one')
      this.arm()
    } else {
      this.arm()
    }
  }
}
