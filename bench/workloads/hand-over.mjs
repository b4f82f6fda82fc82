// @ts-check
/**
 * How long it takes from a release in one process until the next process is inside, against a bare round trip through the same server:
 * a script that deletes a key and publishes, heard by another process.
 */
import { makeRelay } from '../contenders/bare-relay.mjs'
import { connect, contenders } from '../contenders/index.mjs'
import { sharedNowMs } from '../harness/clock.mjs'
import { checkExclusion, contend, handOversMs, visitsOf } from '../harness/contention.mjs'
import { interleave } from '../harness/rounds.mjs'
import { median, percentile } from '../harness/stats.mjs'
import { callAll, stopAll } from '../harness/workers.mjs'

export const name = 'hand-over'
export const title = 'Hand-over between processes'

const CONTENDERS = ['halocksmith']
const BARE = 'bare round trip'
const LIMIT = 1.5
/** Long enough for the others to have queued up again, so that nothing but the hand-over is measured. */
const HOLD_MS = 1
const EFFORT = {
  full: { rounds: 21, roundMs: 400, warmUpMs: 1_500, processes: [2, 8] },
  quick: { rounds: 3, roundMs: 200, warmUpMs: 300, processes: [2] },
  tiny: { rounds: 1, roundMs: 60, warmUpMs: 20, processes: [2] },
}
/** A round's first hand-overs are slow: the processes stood still. */
const REWARM_MS = 50

/** A round in which a busy machine let no hand-over happen is done again, so many times. */
const ATTEMPTS = 5

/** @typedef {{ p50Us: number, p99Us: number, count: number }} Round */

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const crowds = []
  for (const processes of EFFORT[bench.effort].processes) crowds.push({ processes, contenders: await measure(bench, processes) })
  const rows = crowds.flatMap(({ processes, contenders }) =>
    contenders.map((one) => [one.title, processes, one.p50Us, one.p99Us, one.ratioOfP50, one.count]),
  )
  const columns = ['', 'processes', 'p50 µs', 'p99 µs', 'p50 × bare', 'hand-overs']
  const figures = crowds.map(({ processes, contenders }) => ({
    what: `hand-over among ${processes} processes, p50 against a bare round trip`,
    measured: contenders.find(({ id }) => id === 'halocksmith')?.ratioOfP50 ?? Number.NaN,
    limit: LIMIT,
    unit: '×',
  }))
  const explained = 'The bare round trip: a script that deletes a key and publishes is sent, and the message received by the next process.'
  return { tables: [{ title: explained, columns, rows }], figures, numbers: { crowds } }
}

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {number} processes
 */
async function measure({ server, effort, startWorkers }, processes) {
  const { rounds, roundMs, warmUpMs } = EFFORT[effort]
  const crews = []
  const { present } = await contenders(CONTENDERS)
  for (const { id, title: who } of [{ id: BARE, title: BARE }, ...present]) {
    const workers = await startWorkers(Array.from({ length: processes }, (_, index) => ({ id, url: server.url, index, processes })))
    // Each by itself and without work: so there are many more hand-overs, and what runs often enough is compiled.
    await callAll(workers, 'warmUp', warmUpMs)
    await handOver(workers, 0, warmUpMs)
    crews.push({ id, title: who, workers })
  }
  const measured = await interleave(rounds, crews, async ({ workers }) => {
    await handOver(workers, HOLD_MS, Math.min(roundMs, REWARM_MS))
    const tookMs = await timesOf(workers, roundMs)
    return { p50Us: percentile(tookMs, 0.5) * 1_000, p99Us: percentile(tookMs, 0.99) * 1_000, count: tookMs.length }
  })
  for (const { workers } of crews) await stopAll(workers)
  const bare = /** @type {Round[]} */ (measured[0])
  return crews.map(({ id, title: who }, i) => ({ id, title: who, ...typical(/** @type {Round[]} */ (measured[i]), bare) }))
}

/**
 * @param {readonly import('../harness/workers.mjs').Worker[]} workers
 * @param {number} workMs how long each holds the name
 * @param {number} durationMs after that none asks again
 * @returns {Promise<Pick<import('../harness/contention.mjs').Part, 'notes'>[]>}
 */
function handOver(workers, workMs, durationMs) {
  return callAll(workers, 'handOver', { workMs, durationMs, endMs: sharedNowMs() + durationMs })
}

/**
 * @param {readonly import('../harness/workers.mjs').Worker[]} workers
 * @param {number} durationMs
 */
async function timesOf(workers, durationMs) {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const visits = visitsOf(await handOver(workers, HOLD_MS, durationMs))
    checkExclusion(visits)
    const tookMs = handOversMs(visits)
    if (tookMs.length > 0) return tookMs
  }
  throw new Error(`there was no hand-over in ${ATTEMPTS} rounds of ${durationMs} ms`)
}

/**
 * @param {readonly Round[]} rounds
 * @param {readonly Round[]} bare
 */
function typical(rounds, bare) {
  return {
    p50Us: median(rounds.map(({ p50Us }) => p50Us)),
    p99Us: median(rounds.map(({ p99Us }) => p99Us)),
    // Within a round the machine is about the same for both.
    ratioOfP50: median(rounds.map(({ p50Us }, round) => p50Us / /** @type {Round} */ (bare[round]).p50Us)),
    count: rounds.reduce((sum, { count }) => sum + count, 0),
    rounds,
  }
}

/** @param {{ id: string, url: string, index: number, processes: number }} setup */
export async function makeWorker({ id, url, index, processes }) {
  if (id === BARE) return makeRelay(url, index, processes)
  const locker = await connect(id, url)
  return {
    // Two claims of one process hand over to each other.
    warmUp: (/** @type {number} */ durationMs) => contend(locker, { name: `own-${index}`, claims: 2, workMs: 0, durationMs }),
    handOver: (/** @type {{ workMs: number, durationMs: number }} */ { workMs, durationMs }) =>
      contend(locker, { name: 'baton', claims: 1, workMs, durationMs }),
    close: () => locker.close(),
  }
}
