/** One lock that is held: what we may believe of it at each moment. Time turns into loss here, and nowhere else. */

import { LockLostError } from '../errors.js'
import { isObserved, publish } from '../events.js'
import type { Successor } from '../store/store.js'
import type { Clock } from '../util/clock.js'
import type { HeapEntry } from '../util/deadline-heap.js'
import type { Tenure } from './tenure.js'
import { deadlineMs } from './validity.js'

/** `unknown`: a renewal failed and the deadline has not come; the lock is still ours for `remainingMs`. */
export type LeaseState = 'held' | 'unknown' | 'lost' | 'released'

/** What the claimant asked for, as far as keeping is concerned. */
export interface LeaseTerms {
  readonly name: string
  /** By which the claim can be followed. The server knows the lock by the id of its tenure, which may be another claim's. */
  readonly claimId: string
  /** What people see of the claimant. */
  readonly info: string
  readonly ttlMs: number
  readonly autoExtend: boolean
  /** No renewal makes the lease last longer than this after the grant; Infinity: no limit. */
  readonly maxHoldMs: number
  /** A release lets the name go no sooner than this after the grant. */
  readonly minHoldMs: number
  /** Renewals must be on so many replicas; absent or 0: replicas are not asked. */
  readonly minReplicas?: number | undefined
}

/** A lock that was handed on with less than this part of its lease is renewed soon. */
const NEARLY_WHOLE = 0.9

export class Lease implements HeapEntry {
  dueMs = 0
  heapIndex = -1
  /** A renewal is under way. */
  renewing = false
  /** A hint that the lock was taken away came while a renewal was under way, whose answer may be older than the hint. */
  hinted = false
  /**
   * What the caller has of the lock, and what is done when the lock turns out to be held for longer: until then it is kept from being
   * collected, which costs nothing, and from then on it is watched for that, which costs.
   */
  private handle: object | undefined
  private watch: ((handle: object) => void) | undefined
  /** The moment from which the lock is not certainly ours any more. */
  deadlineMs: number
  readonly grantedAtMs: number
  /** Whom the server is to show as the holder, where it does not know yet. */
  successor: Successor | undefined
  /** The lease may be shorter than was asked for, until a renewal succeeds. */
  private readonly provisional: boolean
  private current: LeaseState = 'held'
  private confirmed = false
  private controller: AbortController | undefined
  private loss: LockLostError | undefined

  constructor(
    readonly terms: LeaseTerms,
    readonly tenure: Tenure,
    readonly fencingToken: number,
    private readonly clock: Clock,
  ) {
    const { ttlMs, autoExtend, info } = terms
    this.grantedAtMs = clock.now()
    this.deadlineMs = deadlineMs(tenure.validUntilMs, ttlMs)
    const handedOn = fencingToken !== tenure.firstToken
    const isWhole = tenure.validUntilMs - this.grantedAtMs >= ttlMs * NEARLY_WHOLE
    this.provisional = tenure.isProvisional || (handedOn && !(autoExtend && isWhole))
    if (handedOn || info !== tenure.info) this.successor = { fencingToken, info }
  }

  /** Under which the server knows it. */
  get id(): string {
    return this.tenure.id
  }

  get state(): LeaseState {
    this.checkDeadline()
    return this.current
  }

  /** Made when it is first asked for: most locks are released without. */
  get signal(): AbortSignal {
    this.checkDeadline()
    this.controller ??= new AbortController()
    if (this.loss !== undefined && !this.controller.signal.aborted) this.controller.abort(this.loss)
    return this.controller.signal
  }

  get remainingMs(): number {
    const { state } = this
    return state === 'held' || state === 'unknown' ? this.deadlineMs - this.clock.now() : 0
  }

  /** Why the lock was lost, if it was. */
  get lossError(): LockLostError | undefined {
    this.checkDeadline()
    return this.loss
  }

  get isActive(): boolean {
    return this.current === 'held' || this.current === 'unknown'
  }

  /** Not confirmed yet: the server may keep it for a shorter time than was asked for, such as a claim window. */
  get isProvisional(): boolean {
    return this.provisional && !this.confirmed
  }

  /** From when on a lease that is provisional has been so. */
  get provisionalSinceMs(): number {
    return this.tenure.isProvisional ? this.tenure.startedAtMs : this.grantedAtMs
  }

  /** `watch` is called once, with the handle, at the first renewal. */
  watchLater(handle: object, watch: (handle: object) => void): void {
    this.handle = handle
    this.watch = watch
  }

  /** The lock is held for long: from now on its handle can be collected. */
  watchNow(): void {
    if (this.handle === undefined) return
    this.watch?.(this.handle)
    this.handle = undefined
    this.watch = undefined
  }

  /** What a renewal that is sent now should ask for. 1 ms changes nothing of a lease that stands, and tells whether it does. */
  renewalTtlMs(): number {
    const { ttlMs, autoExtend } = this.terms
    if (autoExtend) return this.withinHoldMs(ttlMs)
    return this.isProvisional ? Math.max(1, Math.floor(ttlMs - (this.clock.now() - this.grantedAtMs))) : 1
  }

  /** As much of a lease as the longest hold allows from now on; at least 1 ms, which changes nothing of a lease that stands. */
  withinHoldMs(leaseMs: number): number {
    return Math.max(1, Math.floor(Math.min(leaseMs, this.grantedAtMs + this.terms.maxHoldMs - this.clock.now())))
  }

  /** The server confirmed the lease. It never shortens one, so an answer that was overtaken changes nothing. */
  confirm(validUntilMs: number, leaseMs: number): void {
    this.tenure.confirm(validUntilMs, leaseMs)
    if (!this.isActive) return
    this.deadlineMs = Math.max(this.deadlineMs, deadlineMs(validUntilMs, leaseMs))
    this.confirmed ||= leaseMs > 1
    if (this.current === 'unknown') {
      this.current = 'held'
      publish('halocksmith:held', this.message())
    }
  }

  /** A renewal failed or was not answered. */
  doubt(error: Error): void {
    this.checkDeadline()
    if (this.current !== 'held') return
    this.current = 'unknown'
    if (isObserved('halocksmith:unknown')) publish('halocksmith:unknown', { ...this.message(), error })
  }

  /** The lock is not ours any more; tells the signal. */
  lose(reason: string, cause?: unknown): void {
    if (this.current === 'lost' || this.current === 'released') return
    this.setLost(reason, cause)
  }

  /** The holder gives the lock up: from now on time changes nothing. */
  markReleased(): void {
    this.current = 'released'
  }

  /** The release found that the lock had been lost while it was held. */
  foundLost(reason: string): void {
    if (this.current !== 'lost') this.setLost(reason)
  }

  /** A process that was stopped, or an event loop that stood still, learns of its loss by looking. */
  checkDeadline(): void {
    if (this.isActive && this.clock.now() >= this.deadlineMs) {
      const cause = this.current === 'unknown' ? ', and no renewal got through' : ''
      this.setLost(`its lease of ${this.terms.ttlMs} ms has ended${cause}`)
    }
  }

  private setLost(reason: string, cause?: unknown): void {
    this.current = 'lost'
    const { name } = this.terms
    this.loss = new LockLostError(`the lock ${JSON.stringify(name)} was lost: ${reason}`, { key: name, cause })
    this.controller?.abort(this.loss)
    if (isObserved('halocksmith:lost')) publish('halocksmith:lost', { ...this.message(), error: this.loss })
  }

  private message() {
    return { name: this.terms.name, id: this.terms.claimId, fencingToken: this.fencingToken }
  }
}
