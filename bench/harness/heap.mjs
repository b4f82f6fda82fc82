// @ts-check
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const LOOKS = 4
const PAUSE_MS = 20

/**
 * Bytes of this process' heap that are in use, after all garbage is gone: the least of several looks, as what is just on its way to the
 * server or back is no part of what stays.
 *
 * @returns {Promise<number>}
 */
export async function usedHeapBytes() {
  setFlagsFromString('--expose-gc')
  const collect = /** @type {() => void} */ (runInNewContext('gc'))
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < LOOKS; i++) {
    await delay(PAUSE_MS)
    collect()
    least = Math.min(least, process.memoryUsage().heapUsed)
  }
  return least
}
