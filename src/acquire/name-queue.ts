/** The claims of this process that wait for one name, and what is known of the server's queue for it. */

import type { StoreFailure } from '../store/store.js'
import type { Clock } from '../util/clock.js'
import { WaitingLine } from '../util/waiting-line.js'
import { CheckTimer } from './check-timer.js'
import { isSame, type PendingClaim } from './pending-claim.js'
import type { Seat } from './seat.js'

export class NameQueue {
  readonly line = new WaitingLine<PendingClaim>()
  /** What the server is asked for, all of it again from time to time. */
  readonly seats = new Set<Seat>()
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
