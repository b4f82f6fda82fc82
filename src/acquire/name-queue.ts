/** The claims of this process that wait for one name, and what is known of the server's queue for it. */

import { publish } from '../events.js'
import type { ClaimRequest, StoreFailure } from '../store/store.js'
import type { Clock, Timer } from '../util/clock.js'
import { type LineEntry, WaitingLine } from '../util/waiting-line.js'
import { CheckTimer } from './check-timer.js'
import { type Claim, type Granted, isSame, type Patience } from './claim.js'

export class NameQueue {
  readonly line = new WaitingLine<PendingClaim>()
  /** What the server is asked for, all of it again from time to time. */
  readonly seats = new Set<Seat>()
  /** The one of them whose claim was handed the lock and that nobody has taken over yet: kept for one turn of the event loop. */
  free: Seat | undefined
  private timer: CheckTimer | undefined
  /** The server has answered for one of these claims. */
  answered = false
  /** Why the last request failed; undefined after an answer. */
  problem: StoreFailure | undefined
  /** The server said that one of these must wait: asking for those behind it too would only fill its queue. */
  full = false
  /** Since when claims of other processes wait; Infinity: none do; undefined: not known. */
  crowdedSinceMs: number | undefined
  /** The limit that the first counted claim here named. */
  private limit: number | undefined

  constructor(
    readonly name: string,
    private readonly clock: Clock,
    /** Whether the claims have one place in the server's queue between them. */
    private readonly shared: boolean,
    private readonly ask: (seat: Seat) => void,
  ) {}

  /** Made when it is first needed: most claims get their lock at once. */
  get check(): CheckTimer {
    this.timer ??= new CheckTimer(this.clock, (whom) => {
      for (const seat of this.seats) {
        this.ask(seat)
        if (whom === 'one') break
      }
    })
    return this.timer
  }

  /** Nobody waits any more. */
  close(): void {
    this.timer?.stop()
  }

  add(pending: PendingClaim): void {
    this.line.add(pending)
    if (pending.claim.mode === 'counted') this.limit ??= pending.claim.limit
  }

  /**
   * How the server should be asked for a claim that has no seat yet: with a place in its queue, as a mere attempt, or not at all while those
   * before it wait. First come, first served holds in here, so that only what could be granted beside the first is asked for.
   */
  due(pending: PendingClaim): 'place' | 'attempt' | undefined {
    const { claim, before } = pending
    if (!this.shared || this.line.first === pending) return 'place'
    if (claim.mode !== 'counted') return undefined
    // A conflict, most likely, and that is to be told at once.
    if (claim.limit !== this.limit) return 'place'
    if (this.full || before?.seat === undefined || !isSame(before.claim, claim)) return undefined
    const hasRoom = claim.limit === 0 || (this.seats.size + 1) * claim.permits <= claim.limit
    return hasRoom ? 'attempt' : undefined
  }

  /** News of who else waits. */
  setCrowded(crowded: boolean): void {
    if (!crowded) this.crowdedSinceMs = Number.POSITIVE_INFINITY
    else this.crowdedSinceMs = Math.min(this.crowdedSinceMs ?? Number.POSITIVE_INFINITY, this.clock.now())
  }
}

/** One acquire of this process that has not been decided yet. */
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

  /** Tells, once, that it waits. */
  announce(): void {
    if (this.announced || this.settled) return
    this.announced = true
    publish('halocksmith:waiting', { name: this.claim.name, id: this.id })
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * What was asked of the server for a claim: an id, which the server knows as a waiter or as nothing yet. Many claims of this process that
 * want the same have one seat between them, and it belongs to the first of them; when that one is decided, the next takes the seat over,
 * with its place in the server's queue.
 */
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
    const { name, mode, permits, limit, ttlMs, priority, info, minReplicas } = pending.claim
    this.request = { name, id: pending.id, mode, permits, limit, ttlMs, priority, ticket: 0, queue, info, minReplicas }
  }

  get id(): string {
    return this.request.id
  }

  /** Whether it can pass on to a claim: for the server they ask for the same, with the same right to go first. */
  fits({ claim }: PendingClaim): boolean {
    return this.request.priority === claim.priority && isSame(this.request, claim)
  }

  /** Another claim that wants the same has it from now on. */
  passTo(pending: PendingClaim): void {
    this.pending = pending
    this.request.info = pending.claim.info
    pending.seat = this
  }
}
