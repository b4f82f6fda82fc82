/**
 * The error catalogue. Every error of the library has a stable `code`, the `key` (lock name) it is about, where there is one, and the
 * `cause`. Errors are recognised across copies of the package (two versions in one tree, a bundle beside the original) by a shared symbol:
 * use {@link isLockError} rather than `instanceof` where that may matter.
 */

export const ERROR_CODES = ['LOCK_TIMEOUT', 'LOCK_UNAVAILABLE', 'LOCK_LOST', 'LOCK_CONFLICT', 'LOCK_CLOSED', 'LOCK_OPTION'] as const
export type LockErrorCode = (typeof ERROR_CODES)[number]

const MARK = Symbol.for('halocksmith.error')

export interface LockErrorDetails {
  /** The lock's name. */
  key?: string | undefined
  cause?: unknown
}

/** The base of all errors of this library. */
export abstract class LockError extends Error {
  abstract readonly code: LockErrorCode
  /** The lock's name, where the error is about one. */
  readonly key: string | undefined

  constructor(message: string, details: LockErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.key = details.key
  }

  /** The mark by which {@link isLockError} knows an error of any copy of this library. */
  get [MARK](): LockErrorCode {
    return this.code
  }
}

/** The lock was busy for all of `waitMs`. Asking again later may succeed. */
export class LockTimeoutError extends LockError {
  override readonly name = 'LockTimeoutError'
  readonly code = 'LOCK_TIMEOUT'
}

/** The server could not be reached, refused, or did not answer within the wait. Says nothing about who holds the lock. */
export class LockUnavailableError extends LockError {
  override readonly name = 'LockUnavailableError'
  readonly code = 'LOCK_UNAVAILABLE'
}

/** The lock is, or may be about to be, no longer ours. The reason of a held lock's aborted `signal`. */
export class LockLostError extends LockError {
  override readonly name = 'LockLostError'
  readonly code = 'LOCK_LOST'
}

/** The name is in use with another limit, or its place in the server holds data that is not ours. Nothing was changed. */
export class LockConflictError extends LockError {
  override readonly name = 'LockConflictError'
  readonly code = 'LOCK_CONFLICT'
}

/** The locksmith was closed. */
export class LockClosedError extends LockError {
  override readonly name = 'LockClosedError'
  readonly code = 'LOCK_CLOSED'
}

/** An argument or option is wrong: the message shows its value, the bound and the reason. No command was sent. */
export class LockOptionError extends LockError {
  override readonly name = 'LockOptionError'
  readonly code = 'LOCK_OPTION'

  constructor(
    /** The option's or argument's name. */
    readonly option: string,
    /** The value that was refused. */
    value: unknown,
    reason: string,
  ) {
    super(`${option} ${reason}; got ${show(value)}`)
  }
}

/** Whether a value is an error of this library, of whatever copy of it; with a code: whether it is that one. */
export function isLockError(value: unknown, code?: LockErrorCode): value is LockError {
  if (typeof value !== 'object' || value === null || !(MARK in value)) return false
  return code === undefined || (value as LockError).code === code
}

/** Given instead of a value that may hold a secret. */
export const HIDDEN = Symbol('hidden')

/** A value as a person would want to see it in an error: short, unambiguous, and never calling the caller's code. */
function show(value: unknown): string {
  if (typeof value === 'string') {
    // Somebody may have put a URL where none belongs.
    const text = value.replace(/\/\/.*@/s, '//***@')
    return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
  }
  if (value === HIDDEN) return 'a text that is not shown: it may hold a password'
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}
