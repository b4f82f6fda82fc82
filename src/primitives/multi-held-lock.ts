/** Several locks that are held as one: acquired in one order everywhere, so that two claims on overlapping names can't block each other. */

import type { LeaseState } from '../lease/lease.js'
import type { HeldLock, ReleaseOutcome } from './held-lock.js'
import { joinSerialized } from './serialized.js'

/** The order in which several names are acquired: by code units, without repetition. */
export function acquisitionOrder(names: readonly string[]): string[] {
  return [...new Set(names)].sort()
}

export class MultiHeldLock implements HeldLock {
  readonly signal: AbortSignal
  readonly names: readonly string[]

  constructor(private readonly locks: readonly HeldLock[]) {
    this.names = Object.freeze(locks.map((lock) => lock.name))
    // Not AbortSignal.any(): Node 20 never collects a combined signal that somebody listens to.
    const controller = new AbortController()
    this.signal = controller.signal
    for (const { signal } of locks) {
      const abort = () => controller.abort(signal.reason)
      if (signal.aborted) abort()
      else signal.addEventListener('abort', abort, { once: true })
    }
  }

  /** The names, joined; see `names` for each. */
  get name(): string {
    return this.names.join(', ')
  }

  /** The largest of the locks' tokens: larger than that of every earlier claim on the same names. */
  get fencingToken(): number {
    return Math.max(...this.locks.map((lock) => lock.fencingToken))
  }

  /** The worst of the locks' states: one that is lost makes all of it lost. */
  get state(): LeaseState {
    const states = this.locks.map((lock) => lock.state)
    for (const worst of ['lost', 'released', 'unknown'] as const) if (states.includes(worst)) return worst
    return 'held'
  }

  get remainingMs(): number {
    return Math.min(...this.locks.map((lock) => lock.remainingMs))
  }

  assertHeld(): void {
    for (const lock of this.locks) lock.assertHeld()
  }

  async extend(ttlMs?: number): Promise<void> {
    await Promise.all(this.locks.map((lock) => lock.extend(ttlMs)))
  }

  /** Releases all, the last acquired first; `released` only if every one was. */
  async release(): Promise<ReleaseOutcome> {
    const settled = await Promise.allSettled(this.locks.toReversed().map((lock) => lock.release()))
    for (const one of settled) if (one.status === 'rejected') throw one.reason
    const outcomes = settled.map((one) => (one as PromiseFulfilledResult<ReleaseOutcome>).value)
    return outcomes.find((outcome) => outcome.reason === 'lost') ?? outcomes.find((outcome) => !outcome.released) ?? { released: true }
  }

  serialize(): string {
    return joinSerialized(this.locks.map((lock) => lock.serialize()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
