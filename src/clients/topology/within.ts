/** Bounds a step. */

import type { Clock, Timer } from '../../util/clock.js'
import { ClientError } from '../client.js'

/** What the promise comes to, if that is within the time; rejects with a {@link ClientError} otherwise. */
export async function within<T>(limitMs: number, clock: Clock, promise: Promise<T>, late?: () => void): Promise<T> {
  let timer: Timer | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = clock.after(limitMs, () => {
      reject(new ClientError('CONNECTION', `no answer within ${limitMs} ms`))
      late?.()
    })
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    timer?.cancel()
  }
}
