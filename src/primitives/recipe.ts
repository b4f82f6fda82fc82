/** Lock recipes: descriptions that hold nothing. Every primitive is a claim on permits, so that a recipe is a line of data. */

import { type AcquireOptions, checkLimit, checkPermits } from '../options.js'
import type { HeldLock } from './held-lock.js'

/** What a claim wants: the name to itself, or `permits` of `limit` (0: no limit). */
export interface Shape {
  readonly mode: 'exclusive' | 'counted'
  readonly permits: number
  readonly limit: number
}

export const EXCLUSIVE: Shape = Object.freeze({ mode: 'exclusive', permits: 1, limit: 0 })
const READER: Shape = Object.freeze({ mode: 'counted', permits: 1, limit: 0 })

/** Work done while a lock is held. */
export type CriticalSection<T> = (lock: HeldLock) => T | Promise<T>

/** One holder at a time. */
export interface Mutex<Options extends AcquireOptions = AcquireOptions> {
  readonly name: string
  /** Waits until the lock is granted. See {@link Locksmith.acquire}. */
  acquire(options?: Options): Promise<HeldLock>
  /** One attempt; null when the lock is busy. */
  tryAcquire(options?: Options): Promise<HeldLock | null>
  /** Holds the lock while `fn` runs. */
  using<T>(fn: CriticalSection<T>): Promise<T>
  using<T>(options: Options, fn: CriticalSection<T>): Promise<T>
}

export interface SemaphoreOptions extends AcquireOptions {
  /** How many permits to take at once; default 1. */
  permits?: number | undefined
}

/** At most `limit` permits in use at a time. */
export interface Semaphore extends Mutex<SemaphoreOptions> {
  readonly limit: number
}

/** Many readers or one writer. Strictly first come, first served: a waiting writer stops later readers, and the other way round. */
export interface ReadWriteLock {
  readonly name: string
  readonly read: Mutex
  readonly write: Mutex
}

/** How recipes reach the engine. */
export interface ClaimRunner {
  acquire(names: string | readonly string[], shape: Shape, options: AcquireOptions | undefined): Promise<HeldLock>
  tryAcquire(names: string | readonly string[], shape: Shape, options: AcquireOptions | undefined): Promise<HeldLock | null>
  using<T>(names: string | readonly string[], shape: Shape, options: AcquireOptions | undefined, fn: CriticalSection<T>): Promise<T>
}

/** A recipe for one shape of claim; each call may override the options that the recipe was made with. */
export function makeMutex(runner: ClaimRunner, name: string, shape: Shape, defaults?: AcquireOptions): Mutex {
  return makeRecipe<AcquireOptions>(runner, name, defaults, (options) => [shape, options])
}

export function makeSemaphore(runner: ClaimRunner, name: string, limit: number, defaults?: AcquireOptions): Semaphore {
  checkLimit(limit)
  const recipe = makeRecipe<SemaphoreOptions>(runner, name, defaults, (options) => {
    const { permits = 1, ...rest } = options ?? {}
    return [{ mode: 'counted', permits: checkPermits(permits, limit), limit }, rest]
  })
  return Object.freeze({ ...recipe, limit })
}

export function makeReadWriteLock(runner: ClaimRunner, name: string, defaults?: AcquireOptions): ReadWriteLock {
  return Object.freeze({ name, read: makeMutex(runner, name, READER, defaults), write: makeMutex(runner, name, EXCLUSIVE, defaults) })
}

function makeRecipe<Options extends AcquireOptions>(
  runner: ClaimRunner,
  name: string,
  defaults: AcquireOptions | undefined,
  claim: (options: Options | undefined) => [Shape, AcquireOptions | undefined],
): Mutex<Options> {
  const merge = (options: Options | undefined): [Shape, AcquireOptions | undefined] => {
    if (options === undefined) return claim(defaults as Options | undefined)
    return claim(defaults === undefined ? options : { ...defaults, ...options })
  }
  // Wrong options reject, they do not throw: whoever awaits sees one kind of failure.
  return Object.freeze({
    name,
    acquire: async (options?: Options) => runner.acquire(name, ...merge(options)),
    tryAcquire: async (options?: Options) => runner.tryAcquire(name, ...merge(options)),
    using: async <T>(first: Options | CriticalSection<T>, second?: CriticalSection<T>) =>
      typeof first === 'function'
        ? runner.using(name, ...merge(undefined), first)
        : runner.using(name, ...merge(first), second as CriticalSection<T>),
  })
}
