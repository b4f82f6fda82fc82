/**
 * Distributed locks on Redis or Valkey: mutex, semaphore and read-write lock.
 *
 * `require('halocksmith')` is the factory of 2013 with every other export as a property; `import` has both forms.
 */

import { type HalocksmithOptions, type LockFunction, makeLockFunction } from './compat/halocksmith.js'
import type { NodeAddress } from './options.js'

export { HALocksmith, type HalocksmithOptions, type LockCallback, type LockFunction, type Release } from './compat/halocksmith.js'
export {
  isLockError,
  LockClosedError,
  LockConflictError,
  LockError,
  type LockErrorCode,
  LockLostError,
  LockOptionError,
  LockTimeoutError,
  LockUnavailableError,
} from './errors.js'
export type { LockEventName, LockEvents } from './events.js'
export { createLocksmith, type Locksmith, type QueryFilter } from './locksmith.js'
export type { AcquireOptions, NodeAddress } from './options.js'
export type { HeldLock, ReleaseOutcome } from './primitives/held-lock.js'
export type { LockInfo } from './primitives/lock-info.js'
export type { CriticalSection, Mutex, ReadWriteLock, Semaphore, SemaphoreOptions } from './primitives/recipe.js'
export type { LocksmithOptions } from './setup.js'
export type { LockStore } from './store/store.js'

/** The lock function of 2013: `lock([key], (err, release) => …)`, or a promise without the callback. See {@link LockFunction}. */
export default function halocksmith(options?: HalocksmithOptions | string | number | NodeAddress[]): LockFunction {
  return makeLockFunction(options)
}
