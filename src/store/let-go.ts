/** Gives back what a claim holds or may hold, against a network that loses requests and replies. */

import { retryDelayMs } from '../lease/validity.js'
import type { Clock } from '../util/clock.js'
import { type LockStore, type ReleaseOptions, type ReleaseReply, StoreFailure } from './store.js'

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
export function letGo(
  store: Pick<LockStore, 'release'>,
  clock: Clock,
  name: string,
  id: string,
  untilMs: number,
  options?: ReleaseOptions,
): Promise<LetGoOutcome> {
  // Nearly always once is enough, and then one promise is.
  return store
    .release(name, id, options)
    .then(certain, (error) => releaseAgain(() => store.release(name, id, options), clock, untilMs, error))
}

function certain({ status }: ReleaseReply): LetGoOutcome {
  return { status, uncertain: false }
}

async function releaseAgain(release: () => Promise<ReleaseReply>, clock: Clock, untilMs: number, first: unknown): Promise<LetGoOutcome> {
  let failure = first
  for (;;) {
    if (!(failure instanceof StoreFailure) || failure.kind !== 'unreachable') throw failure
    await pause(clock, retryDelayMs(untilMs - clock.now()))
    if (clock.now() >= untilMs) return { status: 'unanswered', uncertain: true }
    try {
      const { status } = await release()
      return { status, uncertain: true }
    } catch (error) {
      failure = error
    }
  }
}

function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve))
}
