// @ts-check
/**
 * Options that all locksmiths of the tests are made with, unless a test says otherwise: `npm run test:modes` runs the tests with batching
 * or local hand-over switched off. Child processes inherit them.
 */

/** @type {Readonly<Record<string, unknown>>} */
export const MODE = Object.freeze(JSON.parse(process.env.HALOCKSMITH_TEST_OPTIONS ?? '{}'))

/**
 * @template {object} Options
 * @param {Options} options of a locksmith
 * @returns {Options}
 */
export function inMode(options) {
  const { batchLimit, ...others } = MODE
  // A store that was made already has its own.
  const mode = batchLimit === undefined || 'store' in options ? others : { ...others, batchLimit }
  return { ...mode, ...options }
}

/**
 * Each claim is a waiter of its own in the server's queue, and first come, first served holds between processes too. For tests of that queue,
 * in which several claims of one locksmith stand.
 */
export const IN_ORDER = Object.freeze({ handOverLimit: 0 })

/** What hand-over is by default, for tests of it: whatever the mode is. */
export const HANDING_ON = Object.freeze({ handOverLimit: 16, handOverMs: 50 })

/**
 * How many waiters the server has of so many processes with so many claims each on one name.
 *
 * @param {number} processes
 * @param {number} claims
 */
export const serverWaiters = (processes, claims) => (MODE.handOverLimit === 0 ? processes * claims : processes)
