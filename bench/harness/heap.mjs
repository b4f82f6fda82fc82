// @ts-check
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Bytes of this process' heap that are in use, after all garbage is gone.
 *
 * @returns {Promise<number>}
 */
export async function usedHeapBytes() {
  setFlagsFromString('--expose-gc')
  const collect = /** @type {() => void} */ (runInNewContext('gc'))
  // What ended just now is let go of a moment later, and what is only then found to be garbage by the next collection.
  for (let i = 0; i < 3; i++) {
    await delay(20)
    collect()
  }
  return process.memoryUsage().heapUsed
}
