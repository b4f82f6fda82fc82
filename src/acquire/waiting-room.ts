/**
 * The only waiting loop. Claims wait in a line for each name; for the first of a line the server is asked, once; then it is woken by a pushed
 * grant, or by the claim of this process that held the lock before it (`handOver`). Nothing depends on either: the server is asked again,
 * with the same id, when the holders' leases end, every few seconds, and whenever it comes back.
 *
 * Every claim is decided: granted, busy until the end of its wait, failed, or aborted. What is given up is taken back in the background.
 */

import { SpareTokens } from '../lease/spare-tokens.js'
import { Tenure } from '../lease/tenure.js'
import { deadlineMs } from '../lease/validity.js'
import type { HandOverLimits } from '../options.js'
import { type ClaimReply, type Grant, type LockStore, StoreFailure } from '../store/store.js'
import { whenAborted } from '../util/abort.js'
import { ChurningMap } from '../util/churning.js'
import type { Clock } from '../util/clock.js'
import { type Claim, type Granted, isSame, type Patience } from './claim.js'
import { NameQueue, PendingClaim, Seat } from './name-queue.js'
import * as refusals from './refusals.js'
import { TakingBack } from './taking-back.js'
import { TurnBudget } from './turn-budget.js'

/** Setting up the very first connection is not counted in a wait, up to this long. */
const FIRST_ANSWER_MS = 5_000
/** Meanwhile the shortest waits are looked at this often. */
const FIRST_ANSWER_CHECK_MS = 25

export class WaitingRoom {
  private readonly byId = new ChurningMap<string, Seat>()
  private readonly byName = new ChurningMap<string, NameQueue>()
  /** Attempts whose claim was decided otherwise: their answers are waited for, and grants go back. */
  private readonly unwanted = new Set<Seat>()
  private readonly takingBack: TakingBack
  private readonly budget = new TurnBudget()
  private readonly spares = new SpareTokens()
  private readonly askFor = (seat: Seat): void => this.ask(seat)
  private closed = false
  private count = 0

  constructor(
    private readonly store: LockStore,
    private readonly session: string,
    private readonly clock: Clock,
    private readonly limits: HandOverLimits,
    /** Resolves when this session hears its grants; must be cheap to call again. */
    private readonly whenListening: () => Promise<void> | undefined,
  ) {
    this.takingBack = new TakingBack(store, clock)
  }

  /** Waits for a claim to be granted; null: it was busy until the end of the wait. */
  enter(claim: Claim, patience: Patience): Promise<Granted | null> {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(refusals.closed(claim.name))
      const { signal, waitMs } = patience
      if (signal?.aborted) return reject(signal.reason)
      this.count += 1
      const id = `${this.session}.${this.count.toString(36)}`
      const pending = new PendingClaim(id, claim, patience, this.clock.now(), resolve, reject)
      if (signal !== undefined) {
        pending.stopListening = whenAborted(signal, () => this.giveUp(pending, () => reject(signal.reason)))
      }
      if (waitMs > 0 && waitMs < Number.POSITIVE_INFINITY) this.armDeadline(pending, waitMs)
      if (waitMs === 0) return this.seat(pending, false)
      pending.queue = this.queueOf(claim.name)
      pending.queue.add(pending)
      this.admit(pending, pending.queue)
      if (pending.seat === undefined) pending.announce()
    })
  }

  /**
   * The holder leaves. True: the lock is the next claim's of this process, under the same tenure. False: it is the server's to grant, because
   * nobody here may have it, or others had to wait long enough.
   */
  handOver(name: string, tenure: Tenure): boolean {
    const queue = this.byName.get(name)
    const heir = queue?.line.first
    // Before the release, which would grant it.
    if (queue?.free !== undefined) this.giveFree(queue, queue.free)
    if (queue === undefined || heir === undefined || !isSame(tenure.asked, heir.claim)) return false
    const nowMs = this.clock.now()
    const fencingToken = tenure.handOn(nowMs, heir.priority, queue.crowdedSinceMs, this.limits, this.store.claimWindowMs)
    if (fencingToken === undefined) return false
    this.settle(heir, () => this.budget.spend(nowMs, () => heir.resolve({ claimId: heir.id, tenure, fencingToken })))
    if (heir.seat !== undefined) this.vacate(heir.seat, queue, true)
    this.advance(queue)
    return true
  }

  /** Claims that wait behind others of this process, so that the server knows nothing of them yet; in their order for each name. */
  unseated(): PendingClaim[] {
    const all = Array.from(this.byName.values(), ({ line }) => [...line])
    return all.flat().filter((pending) => pending.seat === undefined)
  }

  /** A pushed grant. */
  onGranted(id: string, grant: Grant): void {
    const seat = this.byId.get(id)
    if (seat !== undefined) this.grant(seat, grant, true)
    else this.takingBack.onGranted(id)
  }

  /** Whether this claim is still undecided; asks for it if so. */
  onChanged(id: string): void {
    const seat = this.byId.get(id)
    if (seat === undefined) return
    if (seat.asking) seat.askAgain = true
    else this.ask(seat)
  }

  /** This claim's process is not the only one that waits. */
  onOthersWait(id: string): void {
    const seat = this.byId.get(id)
    if (seat === undefined) return
    seat.crowded = true
    seat.pending.queue?.setCrowded(true)
  }

  /** Messages may have been missed: everything is asked for again. */
  onRestored(): void {
    for (const id of this.byId.keys()) this.onChanged(id)
  }

  onDisconnected(error: Error): void {
    const problem = new StoreFailure('unreachable', error.message, error)
    for (const queue of this.byName.values()) queue.problem ??= problem
  }

  /** Refuses new claims, rejects those that wait, and resolves when they have been taken back. */
  async close(): Promise<void> {
    this.closed = true
    // Whoever was handed a lock has it now, to give it back.
    this.budget.flush()
    for (const queue of this.byName.values()) {
      const { line, free } = queue
      if (free !== undefined) this.giveFree(queue, free)
      // From the back, so that nobody inherits a seat.
      for (const pending of [...line].reverse()) this.giveUp(pending, () => pending.reject(refusals.closed(pending.claim.name)))
    }
    for (const { pending } of this.byId.values()) this.giveUp(pending, () => pending.reject(refusals.closed(pending.claim.name)))
    // There may be nobody any more who could hear the answers of these.
    for (const seat of this.unwanted) this.takingBack.withdraw(seat)
    this.unwanted.clear()
    await this.takingBack.settled()
  }

  /** Gives a claim a seat if it is due. */
  private admit(pending: PendingClaim, queue: NameQueue): void {
    if (pending.seat !== undefined) return
    const due = queue.due(pending)
    if (due !== undefined) this.seat(pending, due === 'place')
  }

  /** Somebody left the line: whoever is first now asks, and behind a counted claim that was let in so do those that want the same. */
  private advance(queue: NameQueue, hasRoom = false): void {
    const { first } = queue.line
    if (first === undefined) {
      if (queue.seats.size > 0) return
      queue.close()
      this.byName.delete(queue.name)
      return
    }
    this.admit(first, queue)
    if (!hasRoom) return
    queue.full = false
    for (const pending of queue.line) {
      this.admit(pending, queue)
      if (pending.seat === undefined) return
    }
  }

  private seat(pending: PendingClaim, place: boolean): void {
    const { queue } = pending
    if (place && queue?.free?.fits(pending)) {
      queue.free.passTo(pending)
      queue.free = undefined
      return pending.announce()
    }
    const seat = new Seat(pending, place)
    pending.seat = seat
    this.byId.set(seat.id, seat)
    pending.queue?.seats.add(seat)
    this.ask(seat)
  }

  private ask(seat: Seat): void {
    if (seat.asking || seat.over) return
    seat.asking = true
    const listening = this.whenListening()
    if (listening === undefined) this.request(seat)
    // Subscribe first, then ask: a grant between the two would go unheard.
    else listening.then(() => this.request(seat)).catch((error) => this.failed(seat, error))
  }

  private request(seat: Seat): void {
    if (seat.over) return
    seat.wasSent = true
    seat.crowded = false
    seat.shownInfo = seat.request.info
    this.store.acquire(seat.request).then(
      (reply) => {
        seat.asking = false
        if (this.unwanted.delete(seat) && reply.status === 'granted') this.takingBack.withdraw(seat)
        if (seat.over) return
        this.answered(seat, reply)
        if (!seat.askAgain) return
        seat.askAgain = false
        this.ask(seat)
      },
      (error) => {
        // A refusal is an answer.
        if (!(error instanceof StoreFailure && error.kind === 'refused')) seat.stray = true
        this.failed(seat, error)
      },
    )
  }

  private answered(seat: Seat, reply: ClaimReply): void {
    const { pending } = seat
    const { queue, claim } = pending
    seat.failures = 0
    if (queue !== undefined) {
      queue.answered = true
      queue.problem = undefined
      if (queue.free === seat && reply.status !== 'waiting') return this.giveFree(queue, seat)
    }
    switch (reply.status) {
      case 'granted':
        return this.grant(seat, reply, false)
      case 'waiting':
        return this.wait(seat, reply)
      case 'busy':
        return queue === undefined ? this.end(seat, () => pending.resolve(null)) : this.standBack(seat, queue)
      case 'conflict':
        return this.end(seat, () => pending.reject(refusals.otherLimit(claim, reply.limit)))
      case 'withdrawn':
        return this.end(seat, () => pending.reject(refusals.withdrawn(claim.name)))
    }
  }

  private wait(seat: Seat, { ticket, nextEndMs, waiters }: Extract<ClaimReply, { status: 'waiting' }>): void {
    const { pending } = seat
    pending.announce()
    seat.request.ticket = ticket
    const queue = pending.queue as NameQueue
    queue.full = true
    queue.setCrowded(seat.crowded || waiters === undefined || waiters > queue.seats.size)
    queue.check.expectLeaseEnd(nextEndMs)
    queue.check.checkRegularly(this.store.checkEveryMs, pending.claim.ttlMs)
  }

  /** An attempt beside those that wait came to nothing. */
  private standBack(seat: Seat, queue: NameQueue): void {
    const { pending } = seat
    this.forget(seat)
    pending.seat = undefined
    queue.full = true
    pending.announce()
    this.admit(pending, queue)
  }

  private grant(seat: Seat, grant: Grant, pushed: boolean): void {
    const { pending, request } = seat
    const { queue, claim } = pending
    if (queue?.free === seat) return this.giveFree(queue, seat)
    // Replicas were not asked for it. Asking again makes the lease whole, and that they are.
    if (pushed && request.minReplicas) return this.onChanged(seat.id)
    const nowMs = this.clock.now()
    if (deadlineMs(grant.validUntilMs, claim.ttlMs) <= nowMs) {
      // Too old to be used. The server may still have it as ours: asking again makes it whole or queues anew.
      const problem = new StoreFailure('unreachable', `the grant took longer to arrive than its lease of ${claim.ttlMs} ms lasts`)
      if (pushed) this.onChanged(seat.id)
      else this.failed(seat, problem)
      return
    }
    const spare = claim.mode === 'counted' ? this.spares.granted(claim.name, grant.fencingToken) : undefined
    const tenure = new Tenure(request, grant, pushed, seat.stray, seat.shownInfo, nowMs, spare)
    queue?.setCrowded(grant.othersWait !== false)
    // Readers come all together; of a semaphore's permits more may be left if this one did not have to wait.
    const hasRoom = claim.mode === 'counted' && queue?.full === true && (claim.limit === 0 || !pushed)
    this.end(seat, () => pending.resolve({ claimId: pending.id, tenure, fencingToken: grant.fencingToken }), hasRoom)
  }

  private failed(seat: Seat, error: unknown): void {
    seat.asking = false
    if (this.unwanted.delete(seat)) this.takingBack.withdraw(seat)
    if (seat.over) return
    if (seat.pending.queue?.free === seat) return this.giveFree(seat.pending.queue, seat)
    const failure = error instanceof StoreFailure ? error : new StoreFailure('refused', String(error), error)
    const { pending } = seat
    const { queue, claim } = pending
    if (failure.kind === 'conflict') {
      return this.end(seat, () => pending.reject(refusals.otherData(claim.name, failure)))
    }
    if (failure.kind === 'refused' || queue === undefined) {
      // Not for the next in the line: what is refused under this id is not asked again.
      this.end(seat, () => pending.reject(refusals.unavailable(claim.name, failure)))
      return this.takingBack.withdraw(seat)
    }
    queue.problem = failure
    queue.check.retry(this.store.checkEveryMs, seat.failures)
    seat.failures += 1
  }

  private armDeadline(pending: PendingClaim, delayMs: number): void {
    pending.deadline = this.clock.after(delayMs, () => {
      const moreMs = pending.startedAtMs + FIRST_ANSWER_MS - this.clock.now()
      const connecting = !this.store.hasAnswered && pending.queue?.problem === undefined
      // Looked at again soon: once the server has answered, the wait is as long as was asked for.
      if (connecting && moreMs > 0) this.armDeadline(pending, Math.min(moreMs, Math.max(pending.patience.waitMs, FIRST_ANSWER_CHECK_MS)))
      else this.deadlineReached(pending)
    })
  }

  private deadlineReached(pending: PendingClaim): void {
    // Down and busy are different answers: busy is what the server said last, and it could be reached since.
    const { problem, answered = false } = pending.queue ?? {}
    if (problem === undefined && answered) return this.giveUp(pending, () => pending.resolve(null))
    this.giveUp(pending, () => pending.reject(refusals.unavailable(pending.claim.name, problem)))
  }

  /** Decides a claim that may stand in the server's queue, or be granted there at this moment. */
  private giveUp(pending: PendingClaim, decide: () => void): void {
    if (pending.settled) return
    this.settle(pending, decide)
    const { seat, queue } = pending
    if (seat !== undefined) this.vacate(seat, queue)
    if (queue !== undefined) this.advance(queue)
  }

  /**
   * The claim that had this seat was decided without it: the next that wants the same takes it over, or it is taken back. `handedOn`: of two
   * claims that take turns, the one that has just left is about to come back. For the rest of this turn the seat is kept for it.
   */
  private vacate(seat: Seat, queue: NameQueue | undefined, handedOn = false): void {
    const next = queue?.line.first
    if (seat.request.queue && queue !== undefined) {
      if (next !== undefined && next.seat === undefined && seat.fits(next)) return seat.passTo(next)
      if (next === undefined && handedOn) {
        queue.free = seat
        setImmediate(() => this.giveFree(queue, seat))
        return
      }
    }
    this.leave(seat)
  }

  /** Nobody came for a seat that was kept. */
  private giveFree(queue: NameQueue, seat: Seat): void {
    if (queue.free !== seat) return
    queue.free = undefined
    this.leave(seat)
    this.advance(queue)
  }

  private leave(seat: Seat): void {
    this.forget(seat)
    // A mere attempt leaves nothing behind unless it succeeds. Withdrawn at once, it would: the mark of an id that may yet come.
    if (seat.asking && seat.wasSent && !seat.request.queue) this.unwanted.add(seat)
    else this.takingBack.withdraw(seat)
  }

  /** The server decided what was asked for in this seat. */
  private end(seat: Seat, decide: () => void, hasRoom = false): void {
    const { pending } = seat
    this.forget(seat)
    this.settle(pending, decide)
    if (pending.queue !== undefined) this.advance(pending.queue, hasRoom)
  }

  private forget(seat: Seat): void {
    seat.over = true
    this.byId.delete(seat.id)
    seat.pending.queue?.seats.delete(seat)
  }

  private settle(pending: PendingClaim, decide: () => void): void {
    pending.settled = true
    pending.deadline?.cancel()
    pending.stopListening?.()
    pending.queue?.line.remove(pending)
    decide()
  }

  private queueOf(name: string): NameQueue {
    let queue = this.byName.get(name)
    if (queue === undefined) {
      queue = new NameQueue(name, this.clock, this.limits.most > 0, this.askFor)
      this.byName.set(name, queue)
    }
    return queue
  }
}
