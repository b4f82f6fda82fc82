// @ts-check
/** Claims that want the same name, again and again: what each process notes of them, and what that says of all together. */
import { setTimeout as delay } from 'node:timers/promises'
import { sharedNowMs } from './clock.mjs'
import { jainIndex, percentile } from './stats.mjs'

/**
 * @typedef {object} Contention
 * @property {string} name
 * @property {number} claims how many of this process want it
 * @property {number} [limit] of a semaphore; without it, it is a mutex
 * @property {number} workMs how long each holds it; 0: it is released at once
 * @property {number} durationMs after that nobody asks again; whoever waits then still gets it, but it no longer counts
 */

/**
 * What a process notes.
 *
 * @typedef {object} Part
 * @property {Float64Array} notes of {@link Visit}s
 * @property {Float64Array} unserved claim and time of asking, of those who still waited when nobody asked any more, and then gave up
 * @property {number} errors what acquire or release threw
 * @property {string} [firstError]
 * @property {number} startedMs
 * @property {number} endMs
 * @property {number} tookMs until the queue was empty
 * @property {number} cpuMs in that time
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
/** So long after the end is waited for those who still wait. */
const GRACE_MS = 2_000

/**
 * In a worker.
 *
 * @param {import('../contenders/index.mjs').Locker} locker
 * @param {Contention} contention
 * @returns {Promise<Part>}
 */
export async function contend(locker, { name, claims, limit, workMs, durationMs }) {
  const ask = () => (limit === undefined ? locker.acquire(name) : askPermit(locker, name, limit))
  /** @type {number[]} */
  const notes = []
  /** Since when each claim waits; 0: it does not. */
  const waitingSinceMs = new Float64Array(claims)
  let over = false
  let errors = 0
  /** @type {string | undefined} */
  let firstError
  const note = (/** @type {unknown} */ error) => {
    if (over) return
    errors++
    firstError ??= String(error)
  }
  const cpuBefore = process.cpuUsage()
  const startedMs = sharedNowMs()
  const endMs = startedMs + durationMs
  const claimant = async (/** @type {number} */ claim) => {
    for (let askedMs = sharedNowMs(); askedMs < endMs; askedMs = sharedNowMs()) {
      waitingSinceMs[claim] = askedMs
      const held = await insist(ask, endMs, note)
      if (held === undefined) return
      if (!over) {
        waitingSinceMs[claim] = 0
        const enteredMs = sharedNowMs()
        // At the end the queue is only to be emptied.
        if (workMs > 0 && enteredMs < endMs) await delay(workMs)
        notes.push(claim, askedMs, enteredMs, sharedNowMs(), held.fencingToken ?? 0)
      }
      await held.release().catch(note)
    }
  }
  const settled = await within(durationMs + GRACE_MS, Promise.all(Array.from({ length: claims }, (_, claim) => claimant(claim))))
  // A claim that gets in after all lets go at once.
  over = true
  if (!settled) await locker.giveUp?.()
  const unserved = [...waitingSinceMs].flatMap((sinceMs, claim) => (sinceMs === 0 ? [] : [claim, sinceMs]))
  const { user, system } = process.cpuUsage(cpuBefore)
  const spent = { tookMs: sharedNowMs() - startedMs, cpuMs: (user + system) / 1_000 }
  return { notes: Float64Array.from(notes), unserved: Float64Array.from(unserved), errors, firstError, startedMs, endMs, ...spent }
}

/**
 * @param {import('../contenders/index.mjs').Locker} locker
 * @param {string} name
 * @param {number} limit
 */
function askPermit(locker, name, limit) {
  if (!locker.acquirePermit) throw new Error('it has no semaphore')
  return locker.acquirePermit(name, limit)
}

/**
 * Asks again after an error, as a program would that needs the lock, until nobody asks any more.
 *
 * @param {() => Promise<import('../contenders/index.mjs').Held>} ask
 * @param {number} endMs
 * @param {(error: unknown) => void} note
 * @returns {Promise<import('../contenders/index.mjs').Held | undefined>}
 */
async function insist(ask, endMs, note) {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      note(error)
      if (sharedNowMs() >= endMs) return undefined
      // One that throws at once is not to keep everything else from happening.
      await delay(0)
    }
  }
}

/**
 * @param {number} ms
 * @param {Promise<unknown>} work
 * @returns {Promise<boolean>} whether it was done by then
 */
async function within(ms, work) {
  const patience = new AbortController()
  const passed = delay(ms, false, { signal: patience.signal }).catch(() => false)
  const done = await Promise.race([work.then(() => true), passed])
  patience.abort()
  return done
}

/**
 * @param {readonly Pick<Part, 'notes'>[]} parts one of each process
 * @returns {Visit[]} in the order in which they began
 */
export function visitsOf(parts) {
  const visits = parts.flatMap(({ notes }, process) =>
    Array.from({ length: notes.length / FIELDS }, (_, i) => {
      const [claim = 0, askedMs = 0, enteredMs = 0, leavingMs = 0, fencingToken = 0] = notes.subarray(i * FIELDS, (i + 1) * FIELDS)
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
 * The same for a semaphore.
 *
 * @param {readonly Visit[]} visits
 * @param {number} limit
 */
export function checkLimit(visits, limit) {
  const changes = visits.flatMap(({ enteredMs, leavingMs }) => [
    { ms: enteredMs, by: 1 },
    { ms: leavingMs, by: -1 },
  ])
  // Who leaves in the same moment in which another enters was there before.
  changes.sort((a, b) => a.ms - b.ms || a.by - b.by)
  let inside = 0
  for (const { by } of changes) {
    inside += by
    if (inside > limit) throw new Error(`${inside} were in at once, and the limit is ${limit}`)
  }
}

/**
 * What counts is what happened until the first process asked no more.
 *
 * @param {readonly Part[]} parts one of each process
 * @param {readonly Visit[]} visits of all of them
 * @param {number} claims of each process: one that never got in is in no visit
 */
export function summarize(parts, visits, claims) {
  const startedMs = Math.min(...parts.map((part) => part.startedMs))
  const endMs = Math.min(...parts.map((part) => part.endMs))
  const counted = visits.filter(({ enteredMs }) => enteredMs < endMs)
  if (counted.length === 0) throw new Error(`nobody ever got the lock: ${parts.map(({ firstError }) => firstError).join(', ')}`)
  const waitsMs = counted.map(({ askedMs, enteredMs }) => enteredMs - askedMs)
  const lateAskedMs = visits.filter(({ enteredMs }) => enteredMs >= endMs).map(({ askedMs }) => askedMs)
  const unservedAskedMs = parts.flatMap(({ unserved }) => [...unserved].filter((_, i) => i % 2 === 1))
  const claimants = parts.length * claims
  const shares = countBy(counted, ({ claimant }) => claimant)
  return {
    /** All of them, for what is spent on them at the end too. */
    visits: visits.length,
    cycles: counted.length,
    cyclesPerSecond: counted.length / ((endMs - startedMs) / 1_000),
    waitP50Ms: percentile(waitsMs, 0.5),
    /** Of those too who did not get in in time: as long as they had waited by then. */
    longestWaitMs: [...waitsMs, ...[...lateAskedMs, ...unservedAskedMs].map((askedMs) => endMs - askedMs)].reduce(
      (a, b) => Math.max(a, b),
      0,
    ),
    jain: jainOf(shares, claimants),
    jainOfProcesses: jainOf(
      countBy(counted, ({ process }) => process),
      parts.length,
    ),
    neverIn: claimants - shares.length,
    errors: parts.reduce((sum, { errors }) => sum + errors, 0),
    clientCpuPercent: parts.reduce((sum, { cpuMs, tookMs }) => sum + cpuMs / tookMs, 0) * 100,
  }
}

/**
 * @param {readonly number[]} shares of those who got any
 * @param {number} all there are
 */
function jainOf(shares, all) {
  return jainIndex([...shares, ...new Array(all - shares.length).fill(0)])
}

/**
 * @param {readonly Visit[]} visits
 * @param {(visit: Visit) => string | number} key
 */
function countBy(visits, key) {
  /** @type {Map<string | number, number>} */
  const counts = new Map()
  for (const visit of visits) counts.set(key(visit), (counts.get(key(visit)) ?? 0) + 1)
  return [...counts.values()]
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
