// @ts-check
/** Many claims of one process that lock and unlock for a while, with a witness that writes down who was inside when. */
import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from './channel.mjs'
import { acquireFrom, recipeFor, weightOf } from './recipes.mjs'
import { Witness } from './witness.mjs'

/**
 * @typedef {object} CycleJob
 * @property {string[]} names each claim takes them in turn
 * @property {import('./recipes.mjs').Recipe} [recipe] default: the locksmith's own `acquire`
 * @property {object} [options] of every acquire
 * @property {number} [claims] at work at once; default 1
 * @property {number} [cycles] of all claims together; default no bound
 * @property {number} [forMs] no cycle begins later than this; default no bound. One of the two bounds is needed
 * @property {number} [workMs] time inside; default 0: leaves again at once
 * @property {number} [thinkMs] time between leaving and the next try; default 0
 * @property {string} [witnessFile] default: none is written
 */

/**
 * @typedef {object} CycleReport
 * @property {number[]} cycles that each claim completed
 * @property {number[]} waitsMs how long every completed acquire took
 * @property {number} lost how often a lock was lost inside, or was no more ours at the release
 * @property {{ name: string, code: string | undefined, message: string }[]} failures of acquire, up to 1,000
 * @property {number} elapsedMs
 */

const MOST_FAILURES = 1_000
/** After a failure, so that a server that is down is not asked without a break. */
const PAUSE_MS = 10

/**
 * @param {any} locksmith
 * @param {CycleJob} job
 * @param {AbortSignal} stop no cycle begins after it; waiting ones are aborted
 * @returns {Promise<CycleReport>}
 */
export async function runCycles(locksmith, job, stop) {
  const { names, recipe, options = {}, claims = 1, cycles = Infinity, forMs = Infinity, workMs = 0, thinkMs = 0 } = job
  if (cycles === Infinity && forMs === Infinity) throw new Error('cycles or forMs must be given, or it never ends')
  const witness = job.witnessFile === undefined ? undefined : new Witness(job.witnessFile)
  const began = performance.now()
  /** @type {CycleReport} */
  const report = { cycles: new Array(claims).fill(0), waitsMs: [], lost: 0, failures: [], elapsedMs: 0 }
  let begun = 0

  /**
   * @param {number} claim
   * @param {string} name
   */
  async function cycle(claim, name) {
    const asked = performance.now()
    const lock = await acquireFrom(recipeFor(locksmith, name, recipe), 'acquire', recipe, { ...options, signal: stop })
    report.waitsMs.push(performance.now() - asked)
    const stay = { name, holder: `${process.pid}.${claim}`, fencingToken: lock.fencingToken, ...weightOf(recipe) }
    let inside = true
    const getOut = () => {
      if (inside) witness?.leave(stay)
      inside = false
    }
    witness?.enter(stay)
    // A lock that is lost is left at once, as an honest user of it would: from here on somebody else may be inside.
    if (lock.signal.aborted) getOut()
    lock.signal.addEventListener('abort', getOut, { once: true })
    if (workMs > 0) await delay(workMs)
    const wasInside = inside
    getOut()
    lock.signal.removeEventListener('abort', getOut)
    const { released } = await lock.release()
    if (!wasInside || !released) report.lost++
    report.cycles[claim] = (report.cycles[claim] ?? 0) + 1
  }

  /** @param {number} claim */
  async function work(claim) {
    for (let turn = claim; !stop.aborted && begun < cycles && performance.now() - began < forMs; turn++) {
      begun++
      try {
        await cycle(claim, names[turn % names.length] ?? '')
        if (thinkMs > 0) await delay(thinkMs)
      } catch (error) {
        if (stop.aborted) return
        if (report.failures.length < MOST_FAILURES) report.failures.push(describeError(error))
        await delay(PAUSE_MS)
      }
    }
  }

  await Promise.all(Array.from({ length: claims }, (_, claim) => work(claim)))
  witness?.close()
  report.elapsedMs = performance.now() - began
  return report
}
