/**
 * The only waiting loop. Claims wait in a line for each name; for the first of a line the server is asked, once; then it is woken by a pushed
 * grant, or by the claim of this process that held the lock before it (`handOver`). Nothing depends on either: the server is asked again,
 * with the same id, when the holders' leases end, every few seconds, and whenever it comes back.
 *
 * Every claim is decided: granted, busy until the end of its wait, failed, or aborted. What is given up is taken back in the background.
 */

import { LockClosedError, LockConflictError, LockUnavailableError } from '../errors.js'
import { publish } from '../events.js'
import { letGo } from '../lease/let-go.js'
import { type HandOverLimits, Tenure } from '../lease/tenure.js'
import { deadlineMs } from '../lease/validity.js'
import { type ClaimReply, type Grant, type LockStore, type ReleaseOptions, StoreFailure } from '../store/store.js'
import { whenAborted } from '../util/abort.js'
import { ChurningMap } from '../util/churning.js'
import type { Clock } from '../util/clock.js'
import { NameQueue } from './name-queue.js'
import { type Claim, type Granted, isSame, type Patience, PendingClaim } from './pending-claim.js'
import { Seat } from './seat.js'
import { TurnBudget } from './turn-budget.js'

/** Setting up the very first connection is not counted in a wait, up to this long. */
const FIRST_ANSWER_MS = 5_000
/** Meanwhile the shortest waits are looked at this often. */
const FIRST_ANSWER_CHECK_MS = 25

/** A claim that could not be asked for is asked for again after this time, doubled at each failure, up to the regular check. */
const FIRST_RETRY_MS = 100

/** However short the leases, waiters ask no more often than this. */
const SHORTEST_CHECK_MS = 50

/** Names of claims that were given up, for grants that reach them late: more than this many are forgotten. */
const REMEMBERED = 1_000

export class WaitingRoom {
  private readonly byId = new ChurningMap<string, Seat>()
  private readonly byName = new ChurningMap<string, NameQueue>()
  private readonly givenUp = new Map<string, string>()
  private readonly takingBack = new Set<Promise<unknown>>()
  private readonly budget = new TurnBudget()
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
  ) {}

  /** Waits for a claim to be granted; null: it was busy until the end of the wait. */
  enter(claim: Claim, patience: Patience): Promise<Granted | null> {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(closedError(claim.name))
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
      if (pending.seat === undefined) announce(pending)
    })
  }

  /**
   * The holder leaves. True: the lock is the next claim's of this process, under the same tenure. False: it is the server's to grant, because
   * nobody here may have it, or others had to wait long enough.
   */
  handOver(name: string, tenure: Tenure): boolean {
    const queue = this.byName.get(name)
    const heir = queue?.line.first
    if (queue === undefined || heir === undefined || !isSame(tenure.asked, heir.claim)) return false
    const nowMs = this.clock.now()
    const fencingToken = tenure.handOn(nowMs, heir.priority, queue.crowdedSinceMs, this.limits, this.store.claimWindowMs)
    if (fencingToken === undefined) return false
    this.settle(heir, () => this.budget.spend(nowMs, () => heir.resolve({ claimId: heir.id, tenure, fencingToken })))
    if (heir.seat !== undefined) this.vacate(heir.seat, queue)
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
    if (seat !== undefined) {
      this.grant(seat, grant, true)
      return
    }
    const name = this.givenUp.get(id)
    // A plain release: what may come later has been withdrawn already, and a second withdrawal that finds nothing would leave a mark.
    if (name !== undefined) this.takeBack(name, id, this.store.claimWindowMs, {})
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
    for (const { line } of this.byName.values()) {
      // From the back, so that nobody inherits a seat.
      for (const pending of [...line].reverse()) this.giveUp(pending, () => pending.reject(closedError(pending.claim.name)))
    }
    for (const { pending } of this.byId.values()) this.giveUp(pending, () => pending.reject(closedError(pending.claim.name)))
    await Promise.allSettled(this.takingBack)
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
        if (seat.unwanted && reply.status === 'granted') this.withdraw(seat)
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
    }
    switch (reply.status) {
      case 'granted':
        return this.grant(seat, reply, false)
      case 'waiting':
        return this.wait(seat, reply)
      case 'busy':
        return queue === undefined ? this.end(seat, () => pending.resolve(null)) : this.standBack(seat, queue)
      case 'conflict': {
        const { limit } = reply
        const now = limit === 0 ? 'without a limit (by readers)' : `with the limit ${limit}`
        const asked = claim.limit === 0 ? 'without a limit (as a reader)' : `with the limit ${claim.limit}`
        const message = `the name ${JSON.stringify(claim.name)} is in use ${now}; it was asked for ${asked}`
        return this.end(seat, () => pending.reject(new LockConflictError(message, { key: claim.name })))
      }
      case 'withdrawn': {
        const problem = new StoreFailure('refused', 'the request was withdrawn')
        return this.end(seat, () => pending.reject(unavailable(claim.name, problem)))
      }
    }
  }

  private wait(seat: Seat, { ticket, nextEndMs, waiters }: Extract<ClaimReply, { status: 'waiting' }>): void {
    const { pending } = seat
    announce(pending)
    seat.request.ticket = ticket
    const queue = pending.queue as NameQueue
    queue.full = true
    queue.setCrowded(seat.crowded || waiters === undefined || waiters > queue.seats.size)
    queue.check.expectLeaseEnd(nextEndMs)
    // Whoever gets the lock next may die with it: with short leases, the end of theirs must be heard of in time.
    queue.check.checkWithin(Math.min(this.store.checkEveryMs, Math.max(SHORTEST_CHECK_MS, pending.claim.ttlMs / 2)))
  }

  /** An attempt beside those that wait came to nothing. */
  private standBack(seat: Seat, queue: NameQueue): void {
    const { pending } = seat
    this.forget(seat)
    pending.seat = undefined
    queue.full = true
    announce(pending)
    this.admit(pending, queue)
  }

  private grant(seat: Seat, grant: Grant, pushed: boolean): void {
    const { pending, request } = seat
    const { queue, claim } = pending
    const nowMs = this.clock.now()
    if (deadlineMs(grant.validUntilMs, claim.ttlMs) <= nowMs) {
      // Too old to be used. The server may still have it as ours: asking again makes it whole or queues anew.
      const problem = new StoreFailure('unreachable', `the grant took longer to arrive than its lease of ${claim.ttlMs} ms lasts`)
      if (pushed) this.onChanged(seat.id)
      else this.failed(seat, problem)
      return
    }
    const tenure = new Tenure(request, grant, pushed, seat.stray, seat.shownInfo, nowMs)
    queue?.setCrowded(grant.othersWait !== false)
    // Readers come all together; of a semaphore's permits more may be left if this one did not have to wait.
    const hasRoom = claim.mode === 'counted' && queue?.full === true && (claim.limit === 0 || !pushed)
    this.end(seat, () => pending.resolve({ claimId: pending.id, tenure, fencingToken: grant.fencingToken }), hasRoom)
  }

  private failed(seat: Seat, error: unknown): void {
    seat.asking = false
    if (seat.unwanted) this.withdraw(seat)
    if (seat.over) return
    const failure = error instanceof StoreFailure ? error : new StoreFailure('refused', String(error), error)
    const { pending } = seat
    const { queue, claim } = pending
    if (failure.kind === 'conflict') {
      return this.end(seat, () => pending.reject(new LockConflictError(failure.message, { key: claim.name, cause: failure })))
    }
    if (failure.kind === 'refused' || queue === undefined) {
      // Not for the next in the line: what is refused under this id is not asked again.
      this.end(seat, () => pending.reject(unavailable(claim.name, failure)))
      return this.withdraw(seat)
    }
    queue.problem = failure
    queue.check.checkWithin(Math.min(this.store.checkEveryMs, FIRST_RETRY_MS * 2 ** Math.min(seat.failures, 10)))
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
    this.giveUp(pending, () => pending.reject(unavailable(pending.claim.name, problem)))
  }

  /** Decides a claim that may stand in the server's queue, or be granted there at this moment. */
  private giveUp(pending: PendingClaim, decide: () => void): void {
    if (pending.settled) return
    this.settle(pending, decide)
    const { seat, queue } = pending
    if (seat !== undefined) this.vacate(seat, queue)
    if (queue !== undefined) this.advance(queue)
  }

  /** The claim that had this seat was decided without it: the next that wants the same takes it over, or it is taken back. */
  private vacate(seat: Seat, queue: NameQueue | undefined): void {
    const next = queue?.line.first
    const fits =
      next !== undefined && next.seat === undefined && next.priority === seat.request.priority && isSame(seat.request, next.claim)
    if (fits && seat.request.queue && !this.closed) return seat.passTo(next)
    this.forget(seat)
    // A mere attempt leaves nothing behind unless it succeeds. Withdrawn at once, it would: the mark of an id that may yet come.
    if (seat.asking && seat.wasSent && !seat.request.queue) seat.unwanted = true
    else this.withdraw(seat)
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

  /** Takes back what the server may have of a seat that nobody wants any more. */
  private withdraw({ wasSent, stray, request: { name, id, ttlMs } }: Seat): void {
    if (!wasSent) return
    this.givenUp.set(id, name)
    if (this.givenUp.size > REMEMBERED) this.givenUp.delete(this.givenUp.keys().next().value as string)
    const withinMs = Math.max(ttlMs, this.store.claimWindowMs)
    this.takeBack(name, id, withinMs)
    // A request that was never answered may come later still. The first withdrawal takes the place or the grant away; only one that finds
    // nothing leaves a mark.
    if (stray) this.takeBack(name, id, withinMs)
  }

  private takeBack(name: string, id: string, withinMs: number, options: ReleaseOptions = { withdraw: true }): void {
    const done = letGo(this.store, this.clock, name, id, this.clock.now() + withinMs, options)
      // The server refuses: what it has of this claim ends by itself, after its lease or for want of a sign of life.
      .catch(() => undefined)
      .finally(() => this.takingBack.delete(done))
    this.takingBack.add(done)
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

/** Tells, once, that a claim waits. */
function announce(pending: PendingClaim): void {
  if (pending.announced) return
  pending.announced = true
  publish('halocksmith:waiting', { name: pending.claim.name, id: pending.id })
}

function unavailable(name: string, problem: StoreFailure | undefined): LockUnavailableError {
  const message = `the lock ${JSON.stringify(name)} could not be asked for: ${problem?.message ?? 'no answer'}`
  return new LockUnavailableError(message, { key: name, cause: problem })
}

function closedError(name: string): LockClosedError {
  return new LockClosedError(`the locksmith was closed; ${JSON.stringify(name)} was not acquired`, { key: name })
}
