/**
 * The engine in memory: the executable specification of what a lock server does, in one process. The rules are in `memory-name.ts`; here is
 * what they stand on: time, names, and who listens.
 */

import { checkWhole, LONGEST_MS, refuseUnknown } from '../options.js'
import { type Clock, systemClock } from '../util/clock.js'
import { MemoryName, type Surroundings } from './memory-name.js'
import {
  type ClaimReply,
  type ClaimRequest,
  type HolderRecord,
  type LockStore,
  OptionFailure,
  type ReleaseOptions,
  type ReleaseReply,
  type RenewReply,
  type SessionListener,
  StoreFailure,
  type StoreFilter,
  type Successor,
  type WaiterRecord,
} from './store.js'

export interface MemoryStoreOptions {
  /** Default: the process's own. Tests inject one that they move by hand. */
  clock?: Clock
  /** Default 5,000; more than twice `checkEveryMs`, or a waiter whose wake-up was lost would lose its turn. */
  claimWindowMs?: number
  /** Default 2,000. */
  checkEveryMs?: number
  /** Default 10,000: a waiter without a sign of life for so long is dropped. */
  waiterLifeMs?: number
}

const OPTIONS: ReadonlySet<string> = new Set(['clock', 'claimWindowMs', 'checkEveryMs', 'waiterLifeMs'])

/** How often names are looked through for those that can be forgotten. There is no timer: it happens at the next use after that time. */
const FORGET_EVERY_MS = 60_000

/**
 * Locks in the memory of this process. Everybody who shares a lock must share the store; nothing survives the process.
 *
 * @throws LockOptionError when an option is unknown, or not a whole number of milliseconds from 1 to a year
 */
export class MemoryStore implements LockStore {
  readonly claimWindowMs: number
  readonly checkEveryMs: number
  readonly hasAnswered = true
  private readonly clock: Clock
  private readonly surroundings: Surroundings
  private readonly names = new Map<string, MemoryName>()
  private readonly listeners = new Map<string, SessionListener>()
  private forgetAtMs: number
  private closed = false

  constructor(options: MemoryStoreOptions = {}) {
    refuseUnknown(options, OPTIONS, 'MemoryStore')
    this.clock = options.clock ?? systemClock
    this.claimWindowMs = milliseconds('claimWindowMs', options.claimWindowMs, 5_000)
    this.checkEveryMs = milliseconds('checkEveryMs', options.checkEveryMs, 2_000)
    const waiterLifeMs = milliseconds('waiterLifeMs', options.waiterLifeMs, 10_000)
    const startMs = this.clock.now()
    // Tokens look like those of a server, and go on growing across a restart of the process; a wall clock that steps has no effect.
    const startUs = Date.now() * 1_000
    this.forgetAtMs = startMs + FORGET_EVERY_MS
    this.surroundings = {
      claimWindowMs: this.claimWindowMs,
      waiterLifeMs,
      microseconds: (nowMs) => startUs + Math.floor((nowMs - startMs) * 1_000),
      sessionOf,
      isListening: (id) => this.listeners.has(sessionOf(id)),
      tellGranted: (id, grant) => this.tell(id, (listener) => listener.granted(id, grant)),
      tellChanged: (id) => this.tell(id, (listener) => listener.changed(id)),
      tellOthersWait: (id) => this.tell(id, (listener) => listener.othersWait(id)),
    }
  }

  /** How many names it remembers: those in use, those with a waiter, and those used in the last hour. */
  get size(): number {
    return this.names.size
  }

  async listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    this.assertOpen()
    this.listeners.set(session, listener)
    return async () => {
      // Whoever began to listen under the same session since is not ours to end.
      if (this.listeners.get(session) === listener) this.listeners.delete(session)
    }
  }

  async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const nowMs = this.begin()
    refuseReplicas(request.minReplicas)
    let state = this.names.get(request.name)
    if (!state) {
      state = new MemoryName(request.name, this.surroundings)
      this.names.set(request.name, state)
    }
    return state.acquire(request, nowMs)
  }

  async renew(name: string, id: string, ttlMs: number, holder?: Successor, minReplicas?: number): Promise<RenewReply> {
    const nowMs = this.begin()
    refuseReplicas(minReplicas)
    return this.names.get(name)?.renew(id, ttlMs, nowMs, holder) ?? { status: 'lost' }
  }

  async release(name: string, id: string, options: ReleaseOptions = {}): Promise<ReleaseReply> {
    const nowMs = this.begin()
    let state = this.names.get(name)
    if (!state && options.withdraw) {
      state = new MemoryName(name, this.surroundings)
      this.names.set(name, state)
    }
    return state?.release(id, options, nowMs) ?? { status: 'absent' }
  }

  async forceRelease(name: string): Promise<number> {
    const nowMs = this.begin()
    return this.names.get(name)?.forceRelease(nowMs) ?? 0
  }

  async query(filter: StoreFilter): Promise<{ held: HolderRecord[]; pending: WaiterRecord[] }> {
    const nowMs = this.begin()
    const held: HolderRecord[] = []
    const pending: WaiterRecord[] = []
    for (const [name, state] of this.names) {
      if (filter.name !== undefined && name !== filter.name) continue
      if (filter.prefix !== undefined && !name.startsWith(filter.prefix)) continue
      const found = state.inspect(nowMs)
      held.push(...found.held)
      pending.push(...found.pending)
    }
    return { held, pending }
  }

  async close(): Promise<void> {
    this.closed = true
    this.names.clear()
    this.listeners.clear()
  }

  /** The moment at which an operation happens: all of it happens at once. */
  private begin(): number {
    this.assertOpen()
    const nowMs = this.clock.now()
    if (nowMs >= this.forgetAtMs) {
      this.forgetAtMs = nowMs + FORGET_EVERY_MS
      for (const [name, state] of this.names) if (state.isForgettable(nowMs)) this.names.delete(name)
    }
    return nowMs
  }

  private assertOpen(): void {
    if (this.closed) throw new StoreFailure('refused', 'the store was closed')
  }

  /** As over a network: after the operation that caused it is done, and lost if nobody listens by then. */
  private tell(id: string, message: (listener: SessionListener) => void): void {
    queueMicrotask(() => {
      const listener = this.listeners.get(sessionOf(id))
      if (listener) message(listener)
    })
  }
}

/** The session that a claim id belongs to. */
function sessionOf(id: string): string {
  return id.slice(0, id.indexOf('.'))
}

function refuseReplicas(minReplicas = 0): void {
  if (minReplicas > 0) throw new OptionFailure('minReplicas', minReplicas, 'must be 0: locks in the memory of a process have no replicas')
}

function milliseconds(option: string, value: number | undefined, orElse: number): number {
  return value === undefined ? orElse : checkWhole(option, value, 1, LONGEST_MS)
}
