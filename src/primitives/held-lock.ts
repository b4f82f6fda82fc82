/** What a successful acquire returns. The lease behind it does the work; this is what a caller may touch. */

import { LockLostError, LockUnavailableError } from '../errors.js'
import { isObserved, publish } from '../events.js'
import type { Keeper } from '../lease/keeper.js'
import type { Lease, LeaseState } from '../lease/lease.js'
import type { Tenure } from '../lease/tenure.js'
import { checkTtlMs } from '../options.js'
import { letGo } from '../store/let-go.js'
import { type LockStore, type ReleaseOptions, StoreFailure } from '../store/store.js'
import type { Clock } from '../util/clock.js'
import { serializeLock } from './serialized.js'

/** The answer of a release. `lost`: the lock was not, or not certainly, ours any more. */
export interface ReleaseOutcome {
  released: boolean
  reason?: 'lost' | 'already released'
}

/** A lock that is held, until it is released or lost. */
export interface HeldLock extends AsyncDisposable {
  readonly name: string
  readonly names: readonly string[]
  /**
   * Larger than that of every earlier holder of the name: pass it to what you write to, and let that refuse smaller ones. Of holders side by
   * side (of a semaphore's permits, or readers) each has its own, and those of one locksmith grow; between locksmiths they are in no order.
   */
  readonly fencingToken: number
  /** Aborts with a {@link LockLostError} when the lock is, or may be about to be, no longer ours: before another can hold it. */
  readonly signal: AbortSignal
  /** `unknown`: a renewal failed, but the lock is still ours for `remainingMs`. */
  readonly state: LeaseState
  /** What is certainly left of the lease, in ms by the monotonic clock; 0 when lost or released. */
  readonly remainingMs: number
  /** Throws a {@link LockLostError} if the lock is lost or was released. Looks at the clock, not only at what was heard. */
  assertHeld(): void
  /**
   * Makes the lease last `ttlMs` from now (default: the lock's own), but not beyond `maxHoldMs`; it never becomes shorter.
   *
   * @throws LockLostError the lock was lost or released; nothing is re-created
   * @throws LockUnavailableError the server did not answer; the lock is still held for `remainingMs`
   */
  extend(ttlMs?: number): Promise<void>
  /**
   * Lets the next waiter in. Never throws for a lost lock: the answer says so. With the server away it tries for 5 seconds, then
   * answers `lost` and goes on in the background until the lease has ended.
   *
   * @throws LockUnavailableError the server refused
   */
  release(): Promise<ReleaseOutcome>
  /** Text from which another process can take the lock over, see {@link Locksmith.restore}. Treat it as a secret: it is the lock. */
  serialize(): string
}

/** With the server away, a release is waited for this long. */
const RELEASE_PATIENCE_MS = 5_000

/** What held locks of one locksmith share. */
export interface Holding {
  readonly store: LockStore
  readonly clock: Clock
  readonly keeper: Keeper
  /** Hands the lock on to the next claim of this process; false: it is the server's to grant. */
  handOver(name: string, tenure: Tenure): boolean
  /** Those whose release is under way: closing waits for them. */
  readonly releasing: { add(lock: SingleHeldLock): unknown; delete(lock: SingleHeldLock): unknown }
}

export class SingleHeldLock implements HeldLock {
  // Behind these are clients with their passwords: they are not to be seen where somebody prints a lock.
  readonly #lease: Lease
  readonly #holding: Holding
  private releasing: Promise<ReleaseOutcome> | undefined
  private lostReleased = false
  /** Nobody was given it: there is no hold that others would have to wait for. */
  private unused = false

  constructor(lease: Lease, holding: Holding) {
    this.#lease = lease
    this.#holding = holding
  }

  get name(): string {
    return this.#lease.terms.name
  }

  get names(): readonly string[] {
    return [this.#lease.terms.name]
  }

  get fencingToken(): number {
    return this.#lease.fencingToken
  }

  get signal(): AbortSignal {
    return this.#lease.signal
  }

  get state(): LeaseState {
    return this.#lease.state
  }

  get remainingMs(): number {
    return Math.max(0, this.#lease.remainingMs)
  }

  assertHeld(): void {
    const { state } = this.#lease
    if (state === 'held' || state === 'unknown') return
    throw this.#lease.lossError ?? this.notHeld()
  }

  async extend(ttlMs: number = this.#lease.terms.ttlMs): Promise<void> {
    checkTtlMs(ttlMs)
    this.assertHeld()
    const { name, minReplicas } = this.#lease.terms
    const leaseMs = this.#lease.withinHoldMs(ttlMs)
    try {
      const reply = await this.#holding.store.renew(name, this.#lease.id, leaseMs, undefined, minReplicas)
      if (reply.status === 'lost') this.#holding.keeper.foundLost(this.#lease)
      else this.#holding.keeper.confirm(this.#lease, reply.validUntilMs, leaseMs)
    } catch (error) {
      this.assertHeld()
      throw new LockUnavailableError(`the lock ${JSON.stringify(name)} could not be extended: ${text(error)}`, { key: name, cause: error })
    }
    this.assertHeld()
  }

  release(): Promise<ReleaseOutcome> {
    // Together: one release, one answer. Afterwards: it has been released already, or it was lost and stays so.
    if (this.releasing !== undefined) return this.releasing
    const { state } = this.#lease
    if (state === 'released') return Promise.resolve({ released: false, reason: 'already released' })
    if (state === 'lost') return this.releaseLost()
    if (state === 'held' && this.keepMs === 0 && this.#holding.handOver(this.#lease.terms.name, this.#lease.tenure)) {
      this.leave()
      return Promise.resolve(this.outcome(true, 'released'))
    }
    this.releasing = this.releaseHeld()
    return this.releasing
  }

  /** Releases a lock that its claimant never got. */
  giveBack(): Promise<ReleaseOutcome> {
    this.unused = true
    return this.release()
  }

  serialize(): string {
    this.assertHeld()
    // From now on, whoever has the text can speak for the id: it ends with this lock.
    this.#lease.tenure.seal()
    return serializeLock(this.#lease.terms, this.#lease.id, this.fencingToken)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  /** How much longer nobody else may have the name. */
  private get keepMs(): number {
    const { minHoldMs } = this.#lease.terms
    return minHoldMs === 0 || this.unused ? 0 : Math.max(0, Math.ceil(this.#lease.grantedAtMs + minHoldMs - this.#holding.clock.now()))
  }

  /** From now on time changes nothing, and nothing is renewed. */
  private leave(): void {
    this.#holding.keeper.drop(this.#lease)
    this.#lease.markReleased()
  }

  private releaseHeld(): Promise<ReleaseOutcome> {
    const lease = this.#lease
    const { keepMs } = this
    const { store, clock } = this.#holding
    const { terms, tenure } = lease
    const { name } = terms
    const { id } = tenure
    this.leave()
    this.#holding.releasing.add(this)
    const nowMs = clock.now()
    const options = releaseOptions(keepMs, tenure)
    const releasing = letGo(store, clock, name, id, Math.min(lease.deadlineMs, nowMs + RELEASE_PATIENCE_MS), options)
    // A request of this claim that was never answered may come later: it must find the door closed. Behind the release: a withdrawal
    // that finds a holder releases it, and leaves no mark.
    if (tenure.stray) inBackground(letGo(store, clock, name, id, lease.deadlineMs, { withdraw: true }))
    return releasing.then(
      ({ status, uncertain }) => {
        this.releaseEnded()
        if (status === 'unanswered') inBackground(letGo(store, clock, name, id, lease.deadlineMs, options))
        // Absent although it was certainly ours until now: an earlier attempt did it, whose reply was lost.
        return this.outcome(status === 'released' || (status === 'absent' && uncertain && clock.now() < lease.deadlineMs), status)
      },
      (error) => {
        this.releaseEnded()
        // Other data in its place: the lock is gone.
        if (error instanceof StoreFailure && error.kind === 'conflict') return this.outcome(false, 'absent')
        const message = `the lock ${JSON.stringify(name)} could not be released, it ends with its lease: ${text(error)}`
        throw new LockUnavailableError(message, { key: name, cause: error })
      },
    )
  }

  private releaseEnded(): void {
    this.releasing = undefined
    this.#holding.releasing.delete(this)
  }

  private outcome(released: boolean, status: string): ReleaseOutcome {
    const lease = this.#lease
    const { name, claimId: id } = lease.terms
    if (isObserved('halocksmith:released')) publish('halocksmith:released', { name, id, fencingToken: lease.fencingToken, released })
    if (released) return { released }
    lease.foundLost(status === 'absent' ? 'the server no longer had it at its release' : 'the server did not answer at its release')
    return { released, reason: 'lost' }
  }

  /** The lease may still stand on the server for its safety margin: others need not wait for that, and the caller not for us. */
  private releaseLost(): Promise<ReleaseOutcome> {
    const { store, clock, keeper } = this.#holding
    const { name } = this.#lease.terms
    const { id } = this.#lease
    keeper.drop(this.#lease)
    if (!this.lostReleased) {
      this.lostReleased = true
      inBackground(letGo(store, clock, name, id, clock.now() + RELEASE_PATIENCE_MS))
    }
    return Promise.resolve({ released: false, reason: 'lost' })
  }

  private notHeld(): LockLostError {
    const { name } = this
    return new LockLostError(`the lock ${JSON.stringify(name)} was released`, { key: name })
  }
}

function releaseOptions(keepMs: number, { wasHandedOn, lastToken }: Tenure): ReleaseOptions | undefined {
  if (keepMs === 0 && !wasHandedOn) return undefined
  return { ...(keepMs > 0 && { keepMs }), ...(wasHandedOn && { fencingToken: lastToken }) }
}

/** Nobody waits for it, and what becomes of it changes nothing: the lease ends by itself. */
function inBackground(task: Promise<unknown>): void {
  task.catch(() => undefined)
}

function text(error: unknown): string {
  return error instanceof StoreFailure ? error.message : String(error)
}
