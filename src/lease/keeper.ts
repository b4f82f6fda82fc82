/**
 * Keeps what is held: renews leases, and says in time when one can't be counted on any more. One timer for all leases of a locksmith.
 *
 * ```text
 * held ──renewal failed or unanswered──▶ unknown ──the server says gone, or the deadline──▶ lost
 *   ◀──────────renewal succeeded────────────┘
 * ```
 */

import { type LockStore, StoreFailure } from '../store/store.js'
import { ChurningMap } from '../util/churning.js'
import type { Clock, Timer } from '../util/clock.js'
import { DeadlineHeap } from '../util/deadline-heap.js'
import type { Lease } from './lease.js'
import { renewalDueMs, retryDelayMs } from './validity.js'

/** A pushed grant is confirmed this soon: critical sections that are shorter never cost the extra request. */
const CONFIRM_AFTER_MS = 50

/** Leases that are due within this time of each other are renewed together. */
const TOGETHER_MS = 10

export class Keeper {
  private readonly heap = new DeadlineHeap<Lease>()
  private readonly byId = new ChurningMap<string, Lease>()
  private timer: Timer | undefined
  private timerDueMs = Number.POSITIVE_INFINITY
  private closed = false

  constructor(
    private readonly store: LockStore,
    private readonly clock: Clock,
  ) {}

  get leases(): Iterable<Lease> {
    return this.byId.values()
  }

  has(id: string): boolean {
    return this.byId.has(id)
  }

  keeps(lease: Lease): boolean {
    return this.byId.get(lease.id) === lease
  }

  /** Begins to keep a lease. */
  keep(lease: Lease): void {
    this.byId.set(lease.id, lease)
    this.schedule(lease, this.firstDueMs(lease))
  }

  /** Stops keeping it; harmless when it was not kept. */
  drop(lease: Lease): void {
    // Another may be held under the same id by now.
    if (!this.keeps(lease)) return
    this.byId.delete(lease.id)
    // The timer stands, also when this was the last: cancelling it and making one for the next lease would take longer than all else in here.
    this.heap.remove(lease)
  }

  /** Nothing is kept any more: leaves no timer behind. */
  close(): void {
    this.timer?.cancel()
    this.timer = undefined
    this.closed = true
  }

  /** Another server may answer next, and not know of these leases: whether they are kept is not certain before it says so. */
  doubt(error: Error): void {
    for (const lease of this.byId.values()) lease.doubt(error)
  }

  /** The server is back, or messages were missed: whatever is uncertain is asked for now. */
  recheck(): void {
    for (const lease of this.byId.values()) {
      if (lease.state === 'unknown') void this.renew(lease, lease.renewalTtlMs())
    }
  }

  /** A hint that the lock may have been taken away: never believed, always asked. Asking for 1 ms changes nothing of a lease that stands. */
  verify(id: string): void {
    const lease = this.byId.get(id)
    if (lease === undefined) return
    if (lease.renewing) lease.hinted = true
    else void this.renew(lease, 1)
  }

  /** A renewal that somebody else asked for succeeded. */
  confirm(lease: Lease, validUntilMs: number, leaseMs: number): void {
    lease.confirm(validUntilMs, leaseMs)
    if (lease.isActive && this.keeps(lease)) this.schedule(lease, this.nextDueMs(lease))
  }

  /** The server no longer has what this lease stands for: a loss for whoever holds the lock under its id by now. */
  foundLost(lease: Lease): void {
    for (const one of new Set([lease, this.byId.get(lease.id) ?? lease])) {
      one.lose('the server no longer has it')
      this.drop(one)
    }
  }

  private firstDueMs(lease: Lease): number {
    const { autoExtend, ttlMs } = lease.terms
    if (lease.isProvisional) return Math.max(this.clock.now(), lease.provisionalSinceMs + Math.min(CONFIRM_AFTER_MS, ttlMs / 4))
    return autoExtend ? renewalDueMs(lease.deadlineMs, ttlMs) : lease.deadlineMs
  }

  private nextDueMs(lease: Lease): number {
    if (lease.isProvisional) return this.firstDueMs(lease)
    const { autoExtend, ttlMs, maxHoldMs } = lease.terms
    // Once the lease ends with the longest hold, no renewal can add anything.
    const extendable = autoExtend && lease.deadlineMs + ttlMs / 3 < lease.grantedAtMs + maxHoldMs
    return extendable ? renewalDueMs(lease.deadlineMs, ttlMs) : lease.deadlineMs
  }

  private schedule(lease: Lease, dueMs: number): void {
    this.heap.set(lease, Math.min(dueMs, lease.deadlineMs))
    this.arm()
  }

  private arm(): void {
    const first = this.heap.first
    if (first === undefined || first.dueMs >= this.timerDueMs || this.closed) return
    this.timer?.cancel()
    this.timerDueMs = first.dueMs
    this.timer = this.clock.after(first.dueMs - this.clock.now(), () => {
      this.timer = undefined
      this.timerDueMs = Number.POSITIVE_INFINITY
      this.tick()
    })
  }

  /** Bounded by the number of leases: each one that is due moves to a later time or leaves. */
  private tick(): void {
    const nowMs = this.clock.now()
    for (let lease = this.heap.first; lease !== undefined && lease.dueMs <= nowMs + TOGETHER_MS; lease = this.heap.first) {
      if (nowMs >= lease.deadlineMs || lease.state === 'lost') {
        lease.checkDeadline()
        this.drop(lease)
      } else if (lease.dueMs >= lease.deadlineMs) {
        // Due within the tolerance, but for its end: that comes at its own time.
        break
      } else {
        this.heap.set(lease, lease.deadlineMs)
        void this.renew(lease, lease.renewalTtlMs())
      }
    }
    this.arm()
  }

  private async renew(lease: Lease, ttlMs: number): Promise<void> {
    if (lease.renewing || !lease.isActive) return
    lease.renewing = true
    lease.watchNow()
    try {
      const { successor } = lease
      const reply = await this.store.renew(lease.terms.name, lease.id, ttlMs, successor, lease.terms.minReplicas)
      if (reply.status === 'lost') {
        this.foundLost(lease)
      } else {
        if (lease.successor === successor) lease.successor = undefined
        this.confirm(lease, reply.validUntilMs, ttlMs)
        if (lease.state === 'lost') this.drop(lease)
      }
    } catch (error) {
      this.failed(lease, error instanceof Error ? error : new StoreFailure('unreachable', String(error)))
    } finally {
      lease.renewing = false
    }
    if (lease.hinted) {
      lease.hinted = false
      void this.renew(lease, 1)
    }
  }

  private failed(lease: Lease, error: Error): void {
    if (!lease.isActive) return
    lease.doubt(error)
    if (lease.state === 'lost') this.drop(lease)
    else if (this.keeps(lease)) this.schedule(lease, this.clock.now() + retryDelayMs(lease.remainingMs))
  }
}
