/** Gives back what a claim holds or may hold, against a network that loses requests and replies. */

import { type LockStore, type ReleaseOptions, StoreFailure } from '../store/store.js'
import type { Clock } from '../util/clock.js'
import { retryDelayMs } from './validity.js'

/** `uncertain`: an earlier attempt may have done it although its reply never came. */
export interface LetGoOutcome {
  readonly status: 'released' | 'absent' | 'unanswered'
  readonly uncertain: boolean
}

/**
 * Asks the store to release until it answers, or until `untilMs`, when the lease has ended by itself. Doing it twice does no harm.
 *
 * @throws StoreFailure when the server refuses: asking again would help nobody
 */
export async function letGo(
  store: LockStore,
  clock: Clock,
  name: string,
  id: string,
  untilMs: number,
  options?: ReleaseOptions,
): Promise<LetGoOutcome> {
  let uncertain = false
  do {
    try {
      const { status } = await store.release(name, id, options)
      return { status, uncertain }
    } catch (error) {
      if (!(error instanceof StoreFailure) || error.kind !== 'unreachable') throw error
      uncertain = true
    }
    await pause(clock, retryDelayMs(untilMs - clock.now()))
  } while (clock.now() < untilMs)
  return { status: 'unanswered', uncertain }
}

function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve))
}
