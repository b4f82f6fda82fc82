// @ts-check
/**
 * How long it takes from a release in one process until the next process is inside, against a bare round trip through the same server:
 * a script that deletes a key and publishes, heard by another process.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { contender } from '../contenders/index.mjs'
import { rawClient } from '../contenders/raw.mjs'
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
  quick: { rounds: 7, roundMs: 300, warmUpMs: 1_000, processes: [2, 8] },
  tiny: { rounds: 1, roundMs: 60, warmUpMs: 20, processes: [2] },
}
/** A round's first hand-overs are slow: the processes stood still. */
const REWARM_MS = 50

/** @typedef {{ workMs: number, durationMs: number }} Turn how long each holds the name, and after what time none asks again */
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
  for (const id of [BARE, ...CONTENDERS]) {
    const workers = await startWorkers(Array.from({ length: processes }, (_, index) => ({ id, url: server.url, index, processes })))
    // Without work there are many more: what runs often enough is compiled.
    await callAll(workers, 'handOver', { workMs: 0, durationMs: warmUpMs })
    crews.push({ id, title: id === BARE ? BARE : (await contender(id)).title, workers })
  }
  const measured = await interleave(rounds, crews, async ({ workers }) => {
    await callAll(workers, 'handOver', { workMs: HOLD_MS, durationMs: Math.min(roundMs, REWARM_MS) })
    const visits = visitsOf(await callAll(workers, 'handOver', { workMs: HOLD_MS, durationMs: roundMs }))
    checkExclusion(visits)
    const tookMs = handOversMs(visits)
    if (tookMs.length === 0) throw new Error('there was no hand-over')
    return { p50Us: percentile(tookMs, 0.5) * 1_000, p99Us: percentile(tookMs, 0.99) * 1_000, count: tookMs.length }
  })
  for (const { workers } of crews) await stopAll(workers)
  const bare = /** @type {Round[]} */ (measured[0])
  return crews.map(({ id, title: who }, i) => ({ id, title: who, ...typical(/** @type {Round[]} */ (measured[i]), bare) }))
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
  const locker = await (await contender(id)).connect(url)
  return {
    handOver: (/** @type {Turn} */ turn) => contend(locker, { name: 'baton', claims: 1, ...turn }),
    close: () => locker.close(),
  }
}

const PASS_ON = `if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end return redis.call('publish', KEYS[2], 'go')`

/**
 * Passes a message around all processes, and does at each what a lock does: a command to ask, the work, a script to pass on. So the
 * server and the processes have pauses as long as with a lock.
 *
 * @param {string} url
 * @param {number} index
 * @param {number} processes
 */
async function makeRelay(url, index, processes) {
  const client = rawClient(url)
  await client.connect()
  const sha = String(await client.sendCommand(['SCRIPT', 'LOAD', PASS_ON]))
  const channel = (/** @type {number} */ of) => `relay:${of % processes}`
  const key = `relay:key:${index}`
  const ask = () => client.sendCommand(['SET', key, `${index}`, 'PX', '30000'])
  /** @type {number[]} */
  let notes = []
  let endMs = 0
  let askedMs = 0
  let holdMs = 0
  const visit = async (/** @type {number} */ enteredMs) => {
    if (holdMs > 0) await delay(holdMs)
    const leavingMs = sharedNowMs()
    notes.push(0, askedMs, enteredMs, leavingMs, 0)
    if (leavingMs > endMs) return
    await client.sendCommand(['EVALSHA', sha, '2', key, channel(index + 1), `${index}`])
    askedMs = sharedNowMs()
    await ask()
  }
  await client.subscribe(channel(index), () => void visit(sharedNowMs()))
  return {
    /** @param {Turn} turn */
    async handOver({ workMs, durationMs }) {
      notes = []
      holdMs = workMs
      askedMs = sharedNowMs()
      endMs = askedMs + durationMs
      await ask()
      if (index === 0) await visit(sharedNowMs())
      // The last message may still be on its way.
      await delay(endMs - sharedNowMs() + 50)
      return Float64Array.from(notes)
    },
    close: () => client.destroy(),
  }
}
