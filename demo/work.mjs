// @ts-check
/** What a worker does. Both rounds do the same to the number in the file; the second does it while it holds the lock. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

/** The name of the lock: whoever wants to change the number asks for it. */
export const LOCK = 'the number in the file'

/**
 * @typedef {object} Order
 * @property {boolean} locked with the lock or without
 * @property {number} increments
 * @property {number} [freezeAt] at this increment, stand still between read and write, and wait to be killed
 */

/**
 * @typedef {{ event: 'entered', token: number } | { event: 'added', count: number } | { event: 'frozen', token: number }} Report
 */

/**
 * @param {object} job
 * @param {number} job.worker
 * @param {Order} job.order
 * @param {import('./counter.mjs').Counter} job.counter
 * @param {import('halocksmith').Locksmith} job.locksmith
 * @param {AbortSignal} job.signal ends the work early, without a hurry
 * @param {(report: Report) => void} job.report
 */
export async function work({ worker, order, counter, locksmith, signal, report }) {
  for (let count = 1; count <= order.increments && !signal.aborted; count++) {
    if (order.locked) await locksmith.using(LOCK, { signal }, (lock) => addOneHolding(lock, count))
    else await addOne()
    report({ event: 'added', count })
  }

  async function addOne() {
    const value = await counter.read()
    await pause()
    await counter.write(value + 1)
  }

  /**
   * @param {import('halocksmith').HeldLock} lock
   * @param {number} count
   */
  async function addOneHolding(lock, count) {
    report({ event: 'entered', token: lock.fencingToken })
    const value = await counter.read()
    await pause()
    if (count === order.freezeAt) {
      report({ event: 'frozen', token: lock.fencingToken })
      await once(signal, 'abort')
      return
    }
    lock.assertHeld()
    await counter.write(value + 1)
    await counter.note({ worker, value: value + 1, token: lock.fencingToken })
  }
}

/** The moment of real work between a read and a write, in which others get in unless something keeps them out. */
async function pause() {
  await delay(4 + Math.random() * 8)
}
