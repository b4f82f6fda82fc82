/** The object a program makes once: its connection, its identity, its waiting claims and held locks. */

import { hostname } from 'node:os'
import { LockClosedError, LockConflictError, LockOptionError, LockUnavailableError } from './errors.js'
import { type AcquireOptions, checkName, checkObject, refuseUnknown } from './options.js'
import { Claims } from './primitives/claims.js'
import type { HeldLock } from './primitives/held-lock.js'
import { holderInfo, type LockInfo, waiterInfo } from './primitives/lock-info.js'
import type { CriticalSection, Mutex, ReadWriteLock, Semaphore } from './primitives/recipe.js'
import * as recipes from './primitives/recipe.js'
import { type LocksmithOptions, resolveLocksmithOptions, type Setup } from './setup.js'
import { OptionFailure, StoreFailure } from './store/store.js'
import { systemClock } from './util/clock.js'

/** Which locks to look at; neither given: all under the locksmith's prefix. */
export interface QueryFilter {
  name?: string | undefined
  /** Names that begin with this text. */
  prefix?: string | undefined
}

export interface Locksmith extends AsyncDisposable {
  /**
   * Waits until the lock is granted. Several names are held as one lock; they are acquired in one order everywhere.
   *
   * @throws LockTimeoutError it was busy for all of `waitMs`
   * @throws LockUnavailableError the server could not be reached within `waitMs`, or refused
   * @throws LockConflictError the name is in use with another limit, or its place holds other data
   * @throws LockClosedError the locksmith was closed
   * @throws LockOptionError a name or an option is wrong
   * @throws the signal's reason, when `signal` aborts first
   */
  acquire(names: string | string[], options?: AcquireOptions): Promise<HeldLock>
  /** One attempt: null when the lock is busy; otherwise as `acquire`. */
  tryAcquire(names: string | string[], options?: AcquireOptions): Promise<HeldLock | null>
  /**
   * Holds the lock while `fn` runs, and resolves to its result. What `fn` throws is always what comes out; a problem at the release is
   * attached to it as `releaseError`, or published as a warning where there is no error to attach it to.
   */
  using<T>(names: string | string[], fn: CriticalSection<T>): Promise<T>
  using<T>(names: string | string[], options: AcquireOptions, fn: CriticalSection<T>): Promise<T>
  /** One holder at a time. */
  mutex(name: string, options?: AcquireOptions): Mutex
  /**
   * At most `limit` permits in use at a time; all programs must name the same limit. On several independent servers it must be 1: an acquire
   * rejects with LockOptionError otherwise.
   */
  semaphore(name: string, limit: number, options?: AcquireOptions): Semaphore
  /** Many readers or one writer. */
  readWriteLock(name: string, options?: AcquireOptions): ReadWriteLock
  /** Who holds and who waits, now. */
  query(filter?: QueryFilter): Promise<{ held: LockInfo[]; pending: LockInfo[] }>
  /** An operator's tool: takes the name from whoever holds it. Their signals fire. Resolves to how many holders were removed. */
  forceRelease(name: string): Promise<number>
  /** Takes over a lock that another process held and serialized. From then on both speak for it: the other should not go on using it. */
  restore(serialized: string): Promise<HeldLock>
  /** Refuses new claims, rejects those that wait, releases what is held, and closes the connections that the locksmith opened itself. */
  close(): Promise<void>
}

/**
 * Makes a locksmith. It connects at its first use, and keeps no process alive.
 *
 * @throws LockOptionError an option is wrong, unknown, or at odds with another
 */
export function createLocksmith(options?: LocksmithOptions): Locksmith {
  return new StoreLocksmith(resolveLocksmithOptions(options))
}

const FILTER_KEYS = new Set(['name', 'prefix'])

class StoreLocksmith implements Locksmith {
  // Behind these is the client, with its password: they are not to be seen where somebody prints a locksmith.
  readonly #setup: Setup
  readonly #claims: Claims
  private closing: Promise<void> | undefined

  constructor(setup: Setup) {
    this.#setup = setup
    const claimant = { label: setup.label, host: hostname(), pid: process.pid }
    this.#claims = new Claims(setup.store, systemClock, setup.defaults, claimant, setup.handOver)
  }

  acquire(names: string | string[], options?: AcquireOptions): Promise<HeldLock> {
    return this.#claims.acquire(names, recipes.EXCLUSIVE, options)
  }

  tryAcquire(names: string | string[], options?: AcquireOptions): Promise<HeldLock | null> {
    return this.#claims.tryAcquire(names, recipes.EXCLUSIVE, options)
  }

  async using<T>(names: string | string[], first: AcquireOptions | CriticalSection<T>, second?: CriticalSection<T>): Promise<T> {
    const [options, fn] = typeof first === 'function' ? [undefined, first] : [first, second]
    return this.#claims.using(names, recipes.EXCLUSIVE, options, fn as CriticalSection<T>)
  }

  mutex(name: string, options?: AcquireOptions): Mutex {
    return recipes.makeMutex(this.#claims, checkName(name), recipes.EXCLUSIVE, options)
  }

  semaphore(name: string, limit: number, options?: AcquireOptions): Semaphore {
    return recipes.makeSemaphore(this.#claims, checkName(name), limit, options)
  }

  readWriteLock(name: string, options?: AcquireOptions): ReadWriteLock {
    return recipes.makeReadWriteLock(this.#claims, checkName(name), options)
  }

  async query(filter: QueryFilter = {}): Promise<{ held: LockInfo[]; pending: LockInfo[] }> {
    checkObject('filter', filter)
    refuseUnknown(filter, FILTER_KEYS, 'a query')
    const { name, prefix } = filter
    const checked = {
      ...(name !== undefined && { name: checkName(name) }),
      ...(prefix !== undefined && { prefix: checkName(prefix, 'prefix') }),
    }
    const found = await this.answer(() => this.#claims.query(checked), checked.name)
    return { held: found.held.map(holderInfo), pending: found.pending.map(waiterInfo) }
  }

  async forceRelease(name: string): Promise<number> {
    checkName(name)
    return this.answer(() => this.#setup.store.forceRelease(name), name)
  }

  async restore(serialized: string): Promise<HeldLock> {
    return this.#claims.restore(serialized)
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce()
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private async closeOnce(): Promise<void> {
    await this.#claims.close()
    if (this.#setup.ownsStore) await this.#setup.store.close()
  }

  /** A store's failure in the terms of the error catalogue. */
  private async answer<T>(ask: () => Promise<T>, key?: string): Promise<T> {
    if (this.closing !== undefined) throw new LockClosedError('the locksmith was closed', { key })
    try {
      return await ask()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (error instanceof OptionFailure) throw new LockOptionError(error.option, error.value, error.reason)
      if (error instanceof StoreFailure && error.kind === 'conflict') throw new LockConflictError(message, { key, cause: error })
      throw new LockUnavailableError(`the server did not answer: ${message}`, { key, cause: error })
    }
  }
}
