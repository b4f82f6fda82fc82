/**
 * The only waiting loop. A claim is asked for once; then it is woken by a pushed grant. Nothing depends on that push: the claim is
 * asked for again, with the same id, when the holders' leases end, every few seconds, and whenever the server comes back.
 *
 * Every claim is decided: granted, busy until the end of its wait, failed, or aborted. What is given up is taken back in the background.
 */

import { LockClosedError, LockConflictError, LockUnavailableError } from '../errors.js'
import { publish } from '../events.js'
import { letGo } from '../lease/let-go.js'
import { deadlineMs } from '../lease/validity.js'
import { type ClaimReply, type Grant, type LockStore, StoreFailure } from '../store/store.js'
import { whenAborted } from '../util/abort.js'
import type { Clock } from '../util/clock.js'
import { NameQueue } from './name-queue.js'
import { type Claim, type Granted, type Patience, PendingClaim } from './pending-claim.js'

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
  private readonly byId = new Map<string, PendingClaim>()
  private readonly byName = new Map<string, NameQueue<PendingClaim>>()
  private readonly givenUp = new Map<string, string>()
  private readonly takingBack = new Set<Promise<unknown>>()
  private closed = false
  private count = 0

  constructor(
    private readonly store: LockStore,
    private readonly session: string,
    private readonly clock: Clock,
    /** Resolves when this session hears its grants; must be cheap to call again. */
    private readonly whenListening: () => Promise<void> | undefined,
  ) {}

  /** Waits for a claim to be granted; null: it was busy until the end of the wait. */
  enter(claim: Claim, patience: Patience): Promise<Granted | null> {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(this.closedError(claim.name))
      const { signal, waitMs } = patience
      if (signal?.aborted) return reject(signal.reason)
      this.count += 1
      const id = `${this.session}.${this.count.toString(36)}`
      const pending = new PendingClaim(id, claim, patience, this.clock.now(), resolve, reject)
      this.byId.set(id, pending)
      if (signal !== undefined) {
        pending.stopListening = whenAborted(signal, () => this.giveUp(pending, () => reject(signal.reason)))
      }
      if (waitMs > 0 && waitMs < Number.POSITIVE_INFINITY) this.armDeadline(pending, waitMs)
      this.ask(pending)
    })
  }

  /** A pushed grant. */
  onGranted(id: string, grant: Grant): void {
    const pending = this.byId.get(id)
    if (pending !== undefined) {
      this.grant(pending, grant, true)
      return
    }
    const name = this.givenUp.get(id)
    if (name !== undefined) this.takeBack(name, id, this.store.claimWindowMs)
  }

  /** Whether this claim is still undecided; asks for it if so. */
  onChanged(id: string): void {
    const pending = this.byId.get(id)
    if (pending === undefined) return
    if (pending.asking) pending.askAgain = true
    else this.ask(pending)
  }

  /** Messages may have been missed: every claim is asked for again. */
  onRestored(): void {
    for (const id of this.byId.keys()) this.onChanged(id)
  }

  onDisconnected(error: Error): void {
    const problem = new StoreFailure('unreachable', error.message, error)
    for (const pending of this.byId.values()) pending.problem ??= problem
  }

  /** Refuses new claims, rejects those that wait, and resolves when they have been taken back. */
  async close(): Promise<void> {
    this.closed = true
    for (const pending of this.byId.values()) this.giveUp(pending, () => pending.reject(this.closedError(pending.claim.name)))
    await Promise.allSettled(this.takingBack)
  }

  private ask(pending: PendingClaim): void {
    if (pending.asking || pending.settled) return
    pending.asking = true
    const listening = this.whenListening()
    if (listening === undefined) this.request(pending)
    // Subscribe first, then ask: a grant between the two would go unheard.
    else listening.then(() => this.request(pending)).catch((error) => this.failed(pending, error))
  }

  private request(pending: PendingClaim): void {
    if (pending.settled) return
    pending.wasSent = true
    this.store.acquire(pending.request).then(
      (reply) => {
        pending.asking = false
        if (pending.settled) return
        this.answered(pending, reply)
        if (!pending.askAgain) return
        pending.askAgain = false
        this.ask(pending)
      },
      (error) => {
        // A refusal is an answer.
        if (!(error instanceof StoreFailure && error.kind === 'refused')) pending.stray = true
        this.failed(pending, error)
      },
    )
  }

  private answered(pending: PendingClaim, reply: ClaimReply): void {
    pending.problem = undefined
    pending.failures = 0
    const { name } = pending.claim
    switch (reply.status) {
      case 'granted':
        return this.grant(pending, reply, false)
      case 'waiting':
        return this.wait(pending, reply.ticket, reply.nextEndMs)
      case 'busy':
        return this.settle(pending, () => pending.resolve(null))
      case 'conflict': {
        const { limit } = reply
        const now = limit === 0 ? 'without a limit (by readers)' : `with the limit ${limit}`
        const asked = pending.claim.limit === 0 ? 'without a limit (as a reader)' : `with the limit ${pending.claim.limit}`
        const message = `the name ${JSON.stringify(name)} is in use ${now}; it was asked for ${asked}`
        return this.settle(pending, () => pending.reject(new LockConflictError(message, { key: name })))
      }
      case 'withdrawn':
        return this.settle(pending, () => pending.reject(this.unavailable(pending, 'the request was withdrawn')))
    }
  }

  private wait(pending: PendingClaim, ticket: number, nextEndMs: number): void {
    if (!pending.answered) publish('halocksmith:waiting', { name: pending.claim.name, id: pending.id })
    pending.answered = true
    pending.request.ticket = ticket
    const queue = this.queueOf(pending)
    queue.expectLeaseEnd(nextEndMs)
    // Whoever gets the lock next may die with it: with short leases, the end of theirs must be heard of in time.
    queue.checkWithin(Math.min(this.store.checkEveryMs, Math.max(SHORTEST_CHECK_MS, pending.claim.ttlMs / 2)))
  }

  private grant(pending: PendingClaim, grant: Grant, pushed: boolean): void {
    const leaseMs = pending.claim.ttlMs
    if (deadlineMs(grant.validUntilMs, leaseMs) <= this.clock.now()) {
      // Too old to be used. The server may still have it as ours: asking again makes it whole or queues anew.
      const problem = new StoreFailure('unreachable', `the grant took longer to arrive than its lease of ${leaseMs} ms lasts`)
      if (pushed) this.onChanged(pending.id)
      else this.failed(pending, problem)
      return
    }
    const { id, stray, resolve } = pending
    this.settle(pending, () => resolve({ id, grant, pushed, stray }))
  }

  private failed(pending: PendingClaim, error: unknown): void {
    pending.asking = false
    if (pending.settled) return
    const failure = error instanceof StoreFailure ? error : new StoreFailure('refused', String(error), error)
    const { name } = pending.claim
    if (failure.kind === 'conflict') {
      return this.settle(pending, () => pending.reject(new LockConflictError(failure.message, { key: name, cause: failure })))
    }
    pending.problem = failure
    if (failure.kind === 'refused' || pending.once) {
      return this.giveUp(pending, () => pending.reject(this.unavailable(pending, failure.message)))
    }
    const delayMs = Math.min(this.store.checkEveryMs, FIRST_RETRY_MS * 2 ** Math.min(pending.failures, 10))
    pending.failures += 1
    this.queueOf(pending).checkWithin(delayMs)
  }

  private armDeadline(pending: PendingClaim, delayMs: number): void {
    pending.deadline = this.clock.after(delayMs, () => {
      const moreMs = pending.startedAtMs + FIRST_ANSWER_MS - this.clock.now()
      const connecting = !this.store.hasAnswered && pending.problem === undefined
      // Looked at again soon: once the server has answered, the wait is as long as was asked for.
      if (connecting && moreMs > 0) this.armDeadline(pending, Math.min(moreMs, Math.max(pending.patience.waitMs, FIRST_ANSWER_CHECK_MS)))
      else this.deadlineReached(pending)
    })
  }

  private deadlineReached(pending: PendingClaim): void {
    // Down and busy are different answers: busy is what the server said last, and it could be reached since.
    const { problem, answered } = pending
    if (problem === undefined && answered) return this.giveUp(pending, () => pending.resolve(null))
    this.giveUp(pending, () => pending.reject(this.unavailable(pending, problem?.message ?? 'no answer')))
  }

  /** Decides a claim that may stand in the server's queue, or be granted there at this moment. */
  private giveUp(pending: PendingClaim, decide: () => void): void {
    if (pending.settled) return
    this.settle(pending, decide)
    if (!pending.wasSent) return
    const { id, claim } = pending
    this.givenUp.set(id, claim.name)
    if (this.givenUp.size > REMEMBERED) this.givenUp.delete(this.givenUp.keys().next().value as string)
    const withinMs = Math.max(claim.ttlMs, this.store.claimWindowMs)
    this.takeBack(claim.name, id, withinMs)
    // A request that was never answered may come later still. The first withdrawal takes the place or the grant away; only one that finds
    // nothing leaves a mark.
    if (pending.stray) this.takeBack(claim.name, id, withinMs)
  }

  private takeBack(name: string, id: string, withinMs: number): void {
    const done = letGo(this.store, this.clock, name, id, this.clock.now() + withinMs, { withdraw: true })
      // The server refuses: what it has of this claim ends by itself, after its lease or for want of a sign of life.
      .catch(() => undefined)
      .finally(() => this.takingBack.delete(done))
    this.takingBack.add(done)
  }

  private settle(pending: PendingClaim, decide: () => void): void {
    if (pending.settled) return
    pending.settled = true
    this.byId.delete(pending.id)
    pending.deadline?.cancel()
    pending.stopListening?.()
    pending.queue?.remove(pending)
    if (pending.queue?.claims.size === 0) this.byName.delete(pending.claim.name)
    decide()
  }

  private queueOf(pending: PendingClaim): NameQueue<PendingClaim> {
    if (pending.queue !== undefined) return pending.queue
    const { name } = pending.claim
    let queue = this.byName.get(name)
    if (queue === undefined) {
      queue = new NameQueue<PendingClaim>(this.clock, (claim) => this.ask(claim))
      this.byName.set(name, queue)
    }
    queue.claims.add(pending)
    pending.queue = queue
    return queue
  }

  private unavailable(pending: PendingClaim, reason: string): LockUnavailableError {
    const { name } = pending.claim
    const message = `the lock ${JSON.stringify(name)} could not be asked for: ${reason}`
    return new LockUnavailableError(message, { key: name, cause: pending.problem })
  }

  private closedError(name: string): LockClosedError {
    return new LockClosedError(`the locksmith was closed; ${JSON.stringify(name)} was not acquired`, { key: name })
  }
}
