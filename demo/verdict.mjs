// @ts-check
/** Judges what happened in the round with the lock: every promise is checked against what is in the files and on the clock. */
import { duration } from './lines.mjs'

/** When a lease has ended, the next must get in within this time, also on a busy machine. */
const PROMPT_MS = 3_000
/** Times of the server are whole milliseconds. */
const ROUNDING_MS = 2

/**
 * @typedef {object} Check
 * @property {boolean} ok
 * @property {string} text what was found, for people
 */

/**
 * @param {Awaited<ReturnType<typeof import('./rounds.mjs').roundWithLock>>} round
 * @returns {Check[]}
 */
export function judge({ planned, got, entries, killing, left }) {
  const expected = sum(planned)
  const { token, leaseMs, next, waitedMs } = killing
  const counts = planned.map((_, index) => entries.filter((entry) => entry.worker === index + 1).length)
  const lateMs = waitedMs - leaseMs
  return [
    { ok: got === expected, text: `the number in the file is ${got}, expected ${expected} (${planned.join(' + ')})` },
    {
      ok: String(counts) === String(planned),
      text: `the journal has ${entries.length} increments (${counts.join(' + ')}), written one by one`,
    },
    {
      ok: entries.every((entry, index) => entry.value === index + 1),
      text: 'each increment began with the number that the one before it had left',
    },
    {
      ok: entries.every((entry, index) => index === 0 || entry.token > (entries[index - 1]?.token ?? 0)),
      text: 'each holder had a larger fencing token than the one before it',
    },
    {
      ok: next.token > token && leaseMs > 0 && lateMs >= -ROUNDING_MS && lateMs <= PROMPT_MS,
      text: `the queue went on ${distance(lateMs)} the lease of the killed worker had ended`,
    },
    { ok: left === 0, text: 'at the end nobody holds the lock, and nobody waits for it' },
  ]
}

/** @param {number} ms */
function distance(ms) {
  return ms < -ROUNDING_MS ? `${duration(-ms)} before` : `${duration(Math.max(0, ms))} after`
}

/** @param {readonly number[]} numbers */
export function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0)
}
