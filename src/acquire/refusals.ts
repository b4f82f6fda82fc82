/** What a claim that is not granted is told. */

import { LockClosedError, LockConflictError, LockOptionError, LockUnavailableError } from '../errors.js'
import { OptionFailure, StoreFailure } from '../store/store.js'
import type { Claim } from './claim.js'

export function closed(name: string): LockClosedError {
  return new LockClosedError(`the locksmith was closed; ${JSON.stringify(name)} was not acquired`, { key: name })
}

/** `problem`: why the last request failed; undefined: none was answered. */
export function unavailable(name: string, problem: StoreFailure | undefined): LockUnavailableError | LockOptionError {
  if (problem instanceof OptionFailure) return new LockOptionError(problem.option, problem.value, problem.reason)
  const message = `the lock ${JSON.stringify(name)} could not be asked for: ${problem?.message ?? 'no answer'}`
  return new LockUnavailableError(message, { key: name, cause: problem })
}

/** The claim's id was taken back before. */
export function withdrawn(name: string): Error {
  return unavailable(name, new StoreFailure('refused', 'the request was withdrawn'))
}

/** The name is in use with another limit. */
export function otherLimit({ name, limit: asked }: Claim, limit: number): LockConflictError {
  const now = limit === 0 ? 'without a limit (by readers)' : `with the limit ${limit}`
  const wanted = asked === 0 ? 'without a limit (as a reader)' : `with the limit ${asked}`
  return new LockConflictError(`the name ${JSON.stringify(name)} is in use ${now}; it was asked for ${wanted}`, { key: name })
}

/** Other data are in the name's place. */
export function otherData(name: string, failure: StoreFailure): LockConflictError {
  return new LockConflictError(failure.message, { key: name, cause: failure })
}
