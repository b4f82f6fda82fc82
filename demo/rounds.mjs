// @ts-check
/** The two rounds: the same work without the lock and with it. Each tells what happened; whether that is right is judged elsewhere. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { duration, shortLine, workerLines } from './lines.mjs'
import { LOCK } from './work.mjs'

/** The worker that is killed. */
const VICTIM = 3
/** It stands still for this long before, so that one can see it hold the lock. */
const LAST_MOMENTS_MS = 300

/**
 * @typedef {object} Stage
 * @property {import('./crew.mjs').Crew} crew
 * @property {import('./counter.mjs').Counter} counter
 * @property {import('halocksmith').Locksmith} observer looks at the lock, and never takes it
 * @property {number} increments
 * @property {import('./screen.mjs').Screen} screen
 * @property {boolean} processes whether the workers are processes
 */

/**
 * @typedef {object} Killing
 * @property {number} token under which the victim held the lock
 * @property {number[]} counts of all workers at that moment
 * @property {number} leaseMs what was left of its lease right after its death
 * @property {import('./crew.mjs').Moment} next who came next
 * @property {number} waitedMs from the death to that
 */

/**
 * @param {Stage} stage
 * @returns {Promise<{ expected: number, got: number }>}
 */
export async function roundWithoutLock(stage) {
  const { crew, counter, increments } = stage
  await counter.reset()
  await watch(
    stage,
    crew.run(() => ({ locked: false, increments })),
  )
  return { expected: crew.size * increments, got: await counter.read() }
}

/**
 * @param {Stage} stage
 * @returns {Promise<{ planned: number[], got: number, entries: import('./counter.mjs').Entry[], killing: Killing, left: number }>}
 *   `planned`: how many increments each worker was to make; `left`: how many still held the lock or waited for it at the end
 */
export async function roundWithLock(stage) {
  const { crew, counter, increments, observer } = stage
  const freezeAt = Math.ceil(increments * 0.4)
  await counter.reset()
  const running = crew.run((worker) => ({ locked: true, increments, ...(worker === VICTIM && { freezeAt }) }))
  const killing = killTheFrozen(stage, running)
  await watch(stage, running, killing)
  const { held, pending } = await observer.query({ name: LOCK })
  return {
    planned: crew.counts.map((_, index) => (index + 1 === VICTIM ? freezeAt - 1 : increments)),
    got: await counter.read(),
    entries: await counter.entries(),
    killing: await killing,
    left: held.length + pending.length,
  }
}

/**
 * Waits until the victim stands between its read and its write, kills it there, and sees who comes next.
 *
 * @param {Stage} stage
 * @param {Promise<void>} running the round
 * @returns {Promise<Killing>}
 * @throws Error when the round ends without that
 */
async function killTheFrozen({ crew, observer, screen, processes }, running) {
  const tooLate = running.then(() => Promise.reject(new Error('the round ended before anybody could be killed and replaced')))
  const [{ token }] = /** @type {[import('./crew.mjs').Moment]} */ (await Promise.race([once(crew, 'frozen'), tooLate]))
  const counts = [...crew.counts]
  const next = entryAfter(crew, token)
  await delay(LAST_MOMENTS_MS)
  await crew.kill(VICTIM)
  const killedAtMs = performance.now()
  const { held } = await observer.query({ name: LOCK })
  const leaseMs = held.find((info) => info.fencingToken === token)?.expiresInMs ?? 0
  const how = processes ? 'killed' : 'cut off, as if killed,'
  const where = `Worker ${VICTIM} was ${how} while holding the lock, between its read and its write`
  screen.print(`  ${where}: its ${counts[VICTIM - 1]} earlier increments count, this one does not.`, 'yellow')
  screen.print(`  Its lease ends in ${duration(leaseMs)}; until then nobody can get in.`, 'yellow')

  const entry = await Promise.race([next, tooLate])
  const waitedMs = entry.atMs - killedAtMs
  const when = waitedMs < 0 ? `${duration(-waitedMs)} before` : `${duration(waitedMs)} after`
  const larger = entry.token > token ? 'a larger token' : 'a token that is not larger'
  screen.print(`  Worker ${entry.worker} entered ${when} the kill, with ${larger}:`, 'yellow')
  screen.print(`  ${token}, then ${entry.token}.`, 'yellow')
  return { token, counts, leaseMs, next: entry, waitedMs }
}

/**
 * The first who enters after the holder of this token. Before the kill, what has a smaller token only took its time to be heard of.
 *
 * @param {import('./crew.mjs').Crew} crew
 * @param {number} token
 * @returns {Promise<import('./crew.mjs').Moment>}
 */
function entryAfter(crew, token) {
  return new Promise((resolve) => {
    crew.on('entered', (moment) => {
      if (moment.token > token || crew.killed !== undefined) resolve(moment)
    })
  })
}

/**
 * Shows how it goes until `running` is over.
 *
 * @param {Stage} stage
 * @param {Promise<void>} running
 * @param {Promise<unknown>} [killing]
 */
async function watch({ crew, observer, increments, screen }, running, killing) {
  const over = new AbortController()
  const end = Promise.all([running, killing]).finally(() => over.abort())
  // A failure in the middle of a query is thrown below, after that.
  end.catch(() => {})
  while (!over.signal.aborted) {
    await delay(screen.everyMs, undefined, { signal: over.signal }).catch(() => {})
    if (over.signal.aborted) break
    const { held, pending } = await observer.query({ name: LOCK })
    const picture = { counts: crew.counts, increments, held, pending, killed: crew.killed }
    screen.show(workerLines(picture, screen), shortLine(picture))
  }
  await end
  screen.settle(workerLines({ counts: crew.counts, increments, held: [], pending: [], killed: crew.killed }, screen))
}
