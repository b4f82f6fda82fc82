/** Where claims are made and held: ties the waiting room (how one waits) to the keeper (how one keeps) for one locksmith. */

import { randomBytes } from 'node:crypto'
import type { Granted, Patience } from '../acquire/claim.js'
import type { PendingClaim } from '../acquire/name-queue.js'
import { WaitingRoom } from '../acquire/waiting-room.js'
import { LockClosedError, LockLostError, LockOptionError, LockTimeoutError, LockUnavailableError } from '../errors.js'
import { isObserved, publish } from '../events.js'
import { Keeper } from '../lease/keeper.js'
import { Lease, type LeaseTerms } from '../lease/lease.js'
import { Tenure } from '../lease/tenure.js'
import {
  type AcquireOptions,
  checkName,
  checkNames,
  type HandOverLimits,
  type ResolvedAcquireOptions,
  resolveAcquireOptions,
} from '../options.js'
import type { HolderRecord, LockStore, SessionListener, StoreFilter, WaiterRecord } from '../store/store.js'
import { ChurningSet } from '../util/churning.js'
import type { Clock } from '../util/clock.js'
import { dropWhenForgotten } from './forgotten.js'
import { type HeldLock, type Holding, SingleHeldLock } from './held-lock.js'
import { type Claimant, claimantInfo } from './lock-info.js'
import { acquisitionOrder, MultiHeldLock } from './multi-held-lock.js'
import type { ClaimRunner, CriticalSection, Shape } from './recipe.js'
import { parseSerialized } from './serialized.js'

/** With the server away, closing waits this long for what is being given back. */
const CLOSE_PATIENCE_MS = 2_000

export class Claims implements ClaimRunner {
  /** Unguessable, 128 bits: whoever knows it could speak for the claims made here. */
  private readonly session = randomBytes(16).toString('base64url')
  private readonly keeper: Keeper
  private readonly room: WaitingRoom
  private readonly holding: Holding
  private readonly releasing = new ChurningSet<SingleHeldLock>()
  private readonly plainInfo: string
  private listening: Promise<void> | undefined
  private isListening = false
  private leave: (() => Promise<void>) | undefined
  private closed = false

  constructor(
    private readonly store: LockStore,
    private readonly clock: Clock,
    private readonly defaults: ResolvedAcquireOptions,
    private readonly claimant: Claimant,
    limits: HandOverLimits,
  ) {
    this.plainInfo = claimantInfo(claimant)
    this.keeper = new Keeper(store, clock)
    this.room = new WaitingRoom(store, this.session, clock, limits, () => this.whenListening())
    const handOver = (name: string, tenure: Tenure) => this.room.handOver(name, tenure)
    this.holding = { store, clock, keeper: this.keeper, handOver, releasing: this.releasing }
  }

  // Most calls are these two: no async functions, because each makes promises of its own.
  acquire(names: string | readonly string[], shape: Shape, options: AcquireOptions | undefined): Promise<HeldLock> {
    try {
      const resolved = resolveAcquireOptions(options, this.defaults)
      return this.claim(names, shape, resolved, () => timedOut(names, resolved)) as Promise<HeldLock>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  tryAcquire(names: string | readonly string[], shape: Shape, options: AcquireOptions | undefined): Promise<HeldLock | null> {
    try {
      return this.claim(names, shape, { ...resolveAcquireOptions(options, this.defaults), waitMs: 0 }, nothing)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async using<T>(names: string | readonly string[], shape: Shape, options: AcquireOptions | undefined, fn: CriticalSection<T>): Promise<T> {
    if (typeof fn !== 'function') throw new LockOptionError('fn', fn, 'must be a function')
    const lock = await this.acquire(names, shape, options)
    let result: T
    try {
      result = await fn(lock)
    } catch (error) {
      attach(error, await releaseProblem(lock))
      throw error
    }
    const problem = await releaseProblem(lock)
    if (problem !== undefined) publish('halocksmith:warning', { name: lock.name, code: problem.code, message: problem.message })
    return result
  }

  /** Takes over a lock from its serialized form. */
  async restore(text: string): Promise<HeldLock> {
    const parts = parseSerialized(text)
    // All of them or none is held: a part that nobody could release must not be renewed.
    const found: [LeaseTerms, Tenure][] = []
    for (const { name, id, ttlMs, autoExtend, fencingToken, minReplicas } of parts) {
      if (this.closed) throw new LockClosedError('the locksmith was closed', { key: name })
      const reply = await this.store.renew(name, id, ttlMs, undefined, minReplicas).catch((error) => {
        throw new LockUnavailableError(`the lock ${JSON.stringify(name)} could not be restored: ${error.message}`, {
          key: name,
          cause: error,
        })
      })
      if (reply.status === 'lost')
        throw new LockLostError(`the lock ${JSON.stringify(name)} was lost before it was restored`, { key: name })
      const { plainInfo: info, clock } = this
      const asked = { id, mode: 'exclusive', permits: 1, limit: 0, ttlMs, priority: 0, minReplicas } as const
      const terms = { name, claimId: id, info, ttlMs, autoExtend, maxHoldMs: Number.POSITIVE_INFINITY, minHoldMs: 0, minReplicas }
      found.push([terms, new Tenure(asked, { fencingToken, validUntilMs: reply.validUntilMs }, false, false, info, clock.now())])
    }
    if (this.closed) throw new LockClosedError('the locksmith was closed')
    const locks = found.map(([terms, tenure]) => this.hold(terms, tenure, tenure.firstToken))
    return locks.length === 1 ? (locks[0] as HeldLock) : new MultiHeldLock(locks)
  }

  /** Who holds and who waits: what the server has, and what it has not been told because it is a matter between claims of this process. */
  async query(filter: StoreFilter): Promise<{ held: HolderRecord[]; pending: WaiterRecord[] }> {
    const { held, pending } = await this.store.query(filter)
    const here = new Map(Array.from(this.keeper.leases, (lease) => [lease.id, lease]))
    const nowMs = this.clock.now()
    return {
      held: held.map((record) => {
        const lease = here.get(record.id)
        if (lease === undefined || lease.fencingToken === record.fencingToken) return record
        return { ...record, fencingToken: lease.fencingToken, info: lease.terms.info, ageMs: Math.floor(nowMs - lease.grantedAtMs) }
      }),
      pending: withUnseated(pending, this.room.unseated(), filter, nowMs),
    }
  }

  /** Rejects who waits, releases what is held, and resolves when that is done or the server does not answer. */
  async close(): Promise<void> {
    this.closed = true
    // First of all: nothing is handed on to a claim that is about to be rejected.
    const emptied = this.room.close()
    const held = Array.from(this.keeper.leases, (lease) => new SingleHeldLock(lease, this.holding).release())
    const done = Promise.allSettled([emptied, ...held])
      // Also what is being released by its holder, or because it was granted at this moment.
      .then(() => Promise.allSettled(this.releasing.values().map((lock) => lock.release())))
    let timer: { cancel(): void } | undefined
    const patience = new Promise<void>((resolve) => {
      timer = this.clock.after(CLOSE_PATIENCE_MS, resolve)
    })
    await Promise.race([done, patience])
    timer?.cancel()
    this.keeper.close()
    await this.leave?.()
  }

  /** @param busy what comes of it when the lock is busy until the end of the wait */
  private claim(
    names: string | readonly string[],
    shape: Shape,
    options: ResolvedAcquireOptions,
    busy: () => null,
  ): Promise<HeldLock | null> {
    if (typeof names === 'string') return this.claimOne(checkName(names), shape, options, options, busy)
    const [name, ...others] = checkNames(names)
    return others.length === 0
      ? this.claimOne(name as string, shape, options, options, busy)
      : this.claimAll(names, shape, options).then((lock) => lock ?? busy())
  }

  private claimOne(
    name: string,
    shape: Shape,
    options: ResolvedAcquireOptions,
    patience: Patience,
    busy: () => null,
  ): Promise<SingleHeldLock | null> {
    const startedAtMs = this.clock.now()
    const { ttlMs, priority, maxHoldMs, minReplicas, metadata } = options
    const { mode, permits, limit } = shape
    const info = metadata === undefined ? this.plainInfo : claimantInfo(this.claimant, metadata)
    const leaseMs = Math.min(ttlMs, maxHoldMs)
    return this.room
      .enter({ name, mode, permits, limit, ttlMs: leaseMs, priority, info, minReplicas }, patience)
      .then((granted) => (granted === null ? busy() : this.granted(granted, name, info, leaseMs, options, startedAtMs)))
  }

  private granted(
    { claimId, tenure, fencingToken }: Granted,
    name: string,
    info: string,
    leaseMs: number,
    { autoExtend, maxHoldMs, minHoldMs, minReplicas }: ResolvedAcquireOptions,
    startedAtMs: number,
  ): SingleHeldLock | Promise<SingleHeldLock> {
    if (isObserved('halocksmith:granted')) {
      publish('halocksmith:granted', { name, id: claimId, fencingToken, waitedMs: this.clock.now() - startedAtMs })
    }
    const lock = this.hold({ name, claimId, info, ttlMs: leaseMs, autoExtend, maxHoldMs, minHoldMs, minReplicas }, tenure, fencingToken)
    if (!this.closed) return lock
    // Granted while the locksmith was being closed.
    return lock.giveBack().then(() => {
      throw new LockClosedError(`the locksmith was closed; ${JSON.stringify(name)} was not acquired`, { key: name })
    })
  }

  /** One after the other, in one order everywhere; what was acquired is given back when a later one can't be had. */
  private async claimAll(names: readonly string[], shape: Shape, options: ResolvedAcquireOptions): Promise<HeldLock | null> {
    const untilMs = this.clock.now() + options.waitMs
    const locks: SingleHeldLock[] = []
    const giveBack = () => Promise.allSettled(locks.map((lock) => lock.giveBack()))
    try {
      for (const name of acquisitionOrder(names)) {
        const waitMs = Math.max(0, Math.ceil(untilMs - this.clock.now()))
        const patience = { waitMs: options.waitMs === 0 ? 0 : waitMs, signal: options.signal }
        const lock = await this.claimOne(name, shape, options, patience, nothing)
        if (lock === null) {
          await giveBack()
          return null
        }
        locks.push(lock)
      }
    } catch (error) {
      await giveBack()
      throw error
    }
    const lost = locks.find((lock) => lock.state === 'lost')
    if (lost !== undefined) {
      await giveBack()
      const message = `the lease of ${JSON.stringify(lost.name)} ended while the other names were waited for`
      throw new LockUnavailableError(message, { key: lost.name, cause: lost.signal.reason })
    }
    return locks.length === 1 ? (locks[0] as HeldLock) : new MultiHeldLock(locks)
  }

  private hold(terms: LeaseTerms, tenure: Tenure, fencingToken: number): SingleHeldLock {
    const lease = new Lease(terms, tenure, fencingToken, this.clock)
    this.keeper.keep(lease)
    const lock = new SingleHeldLock(lease, this.holding)
    dropWhenForgotten(lock, lease, this.keeper)
    return lock
  }

  /** Undefined once this session hears what is meant for it: the common case costs nothing. */
  private whenListening(): Promise<void> | undefined {
    if (this.isListening) return undefined
    this.listening ??= this.store.listen(this.session, this.listener()).then(
      (leave) => {
        this.leave = leave
        this.isListening = true
      },
      (error) => {
        this.listening = undefined
        throw error
      },
    )
    return this.listening
  }

  private listener(): SessionListener {
    return {
      granted: (id, grant) => {
        // A message that came twice is no news of a lock that is held.
        if (!this.keeper.has(id)) this.room.onGranted(id, grant)
      },
      changed: (id) => {
        this.room.onChanged(id)
        this.keeper.verify(id)
      },
      othersWait: (id) => this.room.onOthersWait(id),
      restored: () => {
        this.room.onRestored()
        this.keeper.recheck()
      },
      disconnected: (error, elsewhere) => {
        this.room.onDisconnected(error)
        if (elsewhere) this.keeper.doubt(error)
      },
      warning: (code, message) => {
        publish('halocksmith:warning', { name: '', code, message })
        process.emitWarning(message, { type: 'HalocksmithWarning', code: `HALOCKSMITH_${code}` })
      },
    }
  }
}

function timedOut(names: string | readonly string[], { waitMs }: ResolvedAcquireOptions): never {
  const key = typeof names === 'string' ? names : names.join(', ')
  throw new LockTimeoutError(`the lock ${JSON.stringify(key)} was busy for ${waitMs} ms`, { key })
}

function nothing(): null {
  return null
}

/** Puts claims that the server does not know of at the places that they would have in its queue, but for what it does not know either. */
function withUnseated(
  known: readonly WaiterRecord[],
  unseated: readonly PendingClaim[],
  { name, prefix = '' }: StoreFilter,
  nowMs: number,
): WaiterRecord[] {
  const all = [...known]
  for (const { id, claim, startedAtMs } of unseated) {
    if (name === undefined ? !claim.name.startsWith(prefix) : claim.name !== name) continue
    const { mode, permits, priority, info } = claim
    const limit = mode === 'exclusive' ? 1 : claim.limit
    const ageMs = Math.floor(nowMs - startedAtMs)
    const behind = all.findLastIndex((other) => other.name === claim.name && other.priority >= priority)
    all.splice(behind + 1, 0, { name: claim.name, id, mode, permits, limit, info, priority, position: 0, ageMs })
  }
  if (all.length === known.length) return all
  const positions = new Map<string, number>()
  return all.map((record) => {
    const position = (positions.get(record.name) ?? 0) + 1
    positions.set(record.name, position)
    return { ...record, position }
  })
}

/** Releases, and says what was wrong with that; never throws. */
async function releaseProblem(lock: HeldLock): Promise<LockLostError | LockUnavailableError | undefined> {
  try {
    const outcome = await lock.release()
    // Who released it inside the critical section has had the answer.
    if (outcome.released || outcome.reason === 'already released') return undefined
    const message = `the lock ${JSON.stringify(lock.name)} had been lost when it was released`
    return new LockLostError(message, { key: lock.name, cause: lock.signal.reason })
  } catch (error) {
    if (error instanceof LockUnavailableError) return error
    return new LockUnavailableError(`the lock ${JSON.stringify(lock.name)} could not be released`, { key: lock.name, cause: error })
  }
}

/** The caller's error stays what it is; the release's problem is put beside it where it takes one. */
function attach(error: unknown, problem: Error | undefined): void {
  if (problem === undefined || typeof error !== 'object' || error === null) return
  try {
    Object.defineProperty(error, 'releaseError', { value: problem, configurable: true, writable: true })
  } catch {
    // It is frozen, or has such a property of its own.
  }
}
