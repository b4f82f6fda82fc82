/** Asks every server the same and decides by a majority of their answers: the only place where a majority is counted for one question. */

import type { Clock, Timer } from '../../util/clock.js'
import { majorityOf } from '../../util/majority.js'
import { StoreFailure } from '../store.js'

/** What has come back so far, in the order of the servers. */
export class Returns<T> {
  readonly values: (T | undefined)[]
  readonly failures: (StoreFailure | undefined)[]
  open: number

  constructor(readonly count: number) {
    this.values = new Array(count)
    this.failures = new Array(count)
    this.open = count
  }

  answer(index: number, value: T): void {
    this.values[index] = value
    this.open -= 1
  }

  fail(index: number, failure: StoreFailure): void {
    this.failures[index] = failure
    this.open -= 1
  }

  /** How many answered in a way that matters. */
  number(matters: (value: T) => boolean = () => true): number {
    return this.values.filter((value) => value !== undefined && matters(value)).length
  }

  get answered(): number {
    return this.count - this.open - this.failed
  }

  get failed(): number {
    return this.failures.filter((failure) => failure !== undefined).length
  }
}

/** For how long those that have not answered are waited for once it is decided. */
export interface Grace {
  readonly clock: Clock
  readonly graceMs: number
}

/**
 * Asks all of them at once. Resolves as soon as `decide` can tell from what is there; what comes later is heard by nobody. With a grace, the
 * others have so long to answer too.
 *
 * @throws StoreFailure naming every server that failed, when so many did that there is no majority, or nothing could be decided
 */
export function poll<V extends { readonly describe: string }, T, R>(
  voters: readonly V[],
  ask: (voter: V, index: number) => Promise<T>,
  decide: (returns: Returns<T>) => R | undefined,
  grace?: Grace,
): Promise<R> {
  return new Promise((resolve, reject) => {
    const returns = new Returns<T>(voters.length)
    let timer: Timer | undefined
    const look = () => {
      const result = decide(returns)
      if (result !== undefined) {
        if (grace === undefined || returns.open === 0) {
          timer?.cancel()
          return resolve(result)
        }
        timer ??= grace.clock.after(grace.graceMs, () => resolve(decide(returns) ?? result))
        return
      }
      if (returns.open === 0 || voters.length - returns.failed < majorityOf(voters.length)) reject(noMajority(voters, returns))
    }
    for (const [index, voter] of voters.entries()) {
      ask(voter, index).then(
        (value) => {
          returns.answer(index, value)
          look()
        },
        (error) => {
          returns.fail(index, toFailure(error))
          look()
        },
      )
    }
  })
}

/** Why nothing can be decided: the reason of every server that gave no answer. */
export function noMajority(voters: readonly { readonly describe: string }[], returns: Returns<unknown>): StoreFailure {
  const reasons = voters.flatMap(({ describe }, index) => {
    if (returns.values[index] !== undefined) return []
    const text = returns.failures[index]?.message ?? 'no answer'
    return [text.startsWith(`${describe}: `) ? text : `${describe}: ${text}`]
  })
  const needed = majorityOf(voters.length)
  const failures = returns.failures.filter((failure) => failure !== undefined)
  // Asking again helps unless so many refuse for good that the rest is no majority.
  const kinds = (['conflict', 'refused'] as const).filter(
    (kind) => voters.length - failures.filter((failure) => failure.kind === kind).length < needed,
  )
  const message = `fewer than ${needed} of ${voters.length} servers answered: ${reasons.join('; ')}`
  return new StoreFailure(kinds[0] ?? 'unreachable', message, failures[0])
}

export function toFailure(error: unknown): StoreFailure {
  return error instanceof StoreFailure ? error : new StoreFailure('unreachable', String(error), error)
}
