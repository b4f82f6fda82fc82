// @ts-check
/** Claims that want the same name, again and again: what each process notes of them, and what that says of all together. */
import { setTimeout as delay } from 'node:timers/promises'
import { sharedNowMs } from './clock.mjs'
import { jainIndex, percentile } from './stats.mjs'

/**
 * @typedef {object} Contention
 * @property {string} name
 * @property {number} claims how many of this process want it
 * @property {number} workMs how long each holds it; 0: it is released at once
 * @property {number} durationMs after that nobody asks again; whoever waits then still gets it
 */

/**
 * One time that the name was held. Times are those of the clock that all processes share.
 *
 * @typedef {object} Visit
 * @property {string} claimant the process and the claim
 * @property {number} process
 * @property {number} askedMs
 * @property {number} enteredMs
 * @property {number} leavingMs just before the release was asked for
 * @property {number} fencingToken 0 where there is none
 */

/** Numbers of a visit as they travel between processes. */
const FIELDS = 5

/**
 * In a worker.
 *
 * @param {import('../contenders/index.mjs').Locker} locker
 * @param {Contention} contention
 * @returns {Promise<Float64Array>} for {@link visitsOf}
 */
export async function contend(locker, { name, claims, workMs, durationMs }) {
  /** @type {number[]} */
  const notes = []
  const endMs = sharedNowMs() + durationMs
  const claimant = async (/** @type {number} */ claim) => {
    for (let askedMs = sharedNowMs(); askedMs < endMs; askedMs = sharedNowMs()) {
      const held = await locker.acquire(name)
      const enteredMs = sharedNowMs()
      if (workMs > 0) await delay(workMs)
      notes.push(claim, askedMs, enteredMs, sharedNowMs(), held.fencingToken ?? 0)
      await held.release()
    }
  }
  await Promise.all(Array.from({ length: claims }, (_, claim) => claimant(claim)))
  return Float64Array.from(notes)
}

/**
 * @param {readonly Float64Array[]} notes one of each process
 * @returns {Visit[]} in the order in which they began
 */
export function visitsOf(notes) {
  const visits = notes.flatMap((list, process) =>
    Array.from({ length: list.length / FIELDS }, (_, i) => {
      const [claim = 0, askedMs = 0, enteredMs = 0, leavingMs = 0, fencingToken = 0] = list.subarray(i * FIELDS, (i + 1) * FIELDS)
      return { claimant: `${process}/${claim}`, process, askedMs, enteredMs, leavingMs, fencingToken }
    }),
  )
  return visits.sort((a, b) => a.enteredMs - b.enteredMs)
}

/**
 * Whether the lock did its work, by the clock and by the tokens. The clock is a witness that the lock knows nothing of.
 *
 * @param {readonly Visit[]} visits in the order in which they began
 * @throws Error when two held it at once, or a token did not grow: nothing measured with such a lock means anything
 */
export function checkExclusion(visits) {
  visits.forEach((visit, i) => {
    const before = visits[i - 1]
    if (before === undefined) return
    if (visit.enteredMs < before.leavingMs) {
      throw new Error(`${visit.claimant} got in ${(before.leavingMs - visit.enteredMs).toFixed(3)} ms before ${before.claimant} left`)
    }
    if (visit.fencingToken !== 0 && visit.fencingToken <= before.fencingToken) {
      throw new Error(`the fencing token went from ${before.fencingToken} to ${visit.fencingToken}`)
    }
  })
}

/**
 * @param {readonly Visit[]} visits in the order in which they began
 * @param {number} claimants all there are: one that never got in is in no visit
 */
export function summarize(visits, claimants) {
  const first = visits[0]
  const last = visits.at(-1)
  if (first === undefined || last === undefined) throw new Error('nobody ever got the lock')
  /** @type {Map<string, number>} */
  const shares = new Map()
  for (const { claimant } of visits) shares.set(claimant, (shares.get(claimant) ?? 0) + 1)
  const waitsMs = visits.map(({ askedMs, enteredMs }) => enteredMs - askedMs)
  return {
    cycles: visits.length,
    cyclesPerSecond: visits.length / ((last.leavingMs - first.askedMs) / 1_000),
    waitP50Ms: percentile(waitsMs, 0.5),
    longestWaitMs: percentile(waitsMs, 1),
    jain: jainIndex([...shares.values(), ...new Array(claimants - shares.size).fill(0)]),
  }
}

/**
 * @param {readonly Visit[]} visits in the order in which they began
 * @returns {number[]} ms from each release to the next visit, where that was of another process and had been asked for before
 */
export function handOversMs(visits) {
  return visits.flatMap((visit, i) => {
    const before = visits[i - 1]
    if (before === undefined || before.process === visit.process || visit.askedMs > before.leavingMs) return []
    return [visit.enteredMs - before.leavingMs]
  })
}
