// @ts-check
/** Whether a cycle costs more when many other locks are held, by another process on the same server. */
import { connect, contenders } from '../contenders/index.mjs'
import { measuredOnly, ratio } from '../harness/compare.mjs'
import { fly } from '../harness/flight.mjs'
import { acquireMany } from '../harness/many.mjs'
import { keepOnOneCore } from '../harness/one-core.mjs'
import { interleave } from '../harness/rounds.mjs'
import { mediansOf, percentile } from '../harness/stats.mjs'
import { commandsInScripts, Traffic } from '../harness/traffic.mjs'

export const name = 'scale'
export const title = 'Uncontended cycles while other locks are held'

const CONTENDERS = ['halocksmith']
/** With most other locks against none: at most a tenth slower. */
const LATENCY_LIMIT = 1.1
const THROUGHPUT_AT_LEAST = 0.9
const IN_FLIGHT = 64
const EFFORT = {
  full: { counts: [0, 10_000, 100_000], rounds: 15, cycles: 1_500, flightMs: 300, warmUpMs: 1_000 },
  quick: { counts: [0, 10_000], rounds: 3, cycles: 600, flightMs: 100, warmUpMs: 300 },
  tiny: { counts: [0, 100], rounds: 1, cycles: 20, flightMs: 20, warmUpMs: 20 },
}
/** They take turns after so many cycles, as one at a time the machine makes more of a difference than anything else. */
const SLICE = 100
/** A process that stood still is slow at first. */
const REWARM_MS = 20

/** @typedef {import('../harness/workers.mjs').Worker} Worker */
/** @typedef {{ p50Us: number, longestMs: number, cyclesPerSecond: number, commandsPerCycle: number }} Round */
/** @typedef {{ id: string, title: string, others: number } & ReturnType<typeof typical>} Measured */

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { counts, rounds, warmUpMs } = EFFORT[bench.effort]
  const { present, notes } = await contenders(CONTENDERS)
  /** @type {Measured[]} */
  const all = []
  for (const { id, title: who } of present) {
    const crews = []
    for (const others of counts) crews.push(await prepare(bench, id, others, warmUpMs))
    /** @type {Round[][]} */
    const measured = crews.map(() => [])
    for (let round = 0; round < rounds; round++) {
      const of = await measureRound(crews, EFFORT[bench.effort])
      of.forEach((one, i) => measured[i]?.push(one))
    }
    crews.forEach(({ others, traffic, notes: more }, i) => {
      traffic.close()
      if (i === 0) notes.push(...more)
      all.push({ id, title: who, others, ...typical(measured[i] ?? []) })
    })
  }
  return { ...report(all, counts), notes, numbers: { rounds, contenders: all } }
}

/**
 * Each number of locks has a server of its own, so that they can take turns.
 *
 * @param {import('./index.mjs').Bench} bench
 * @param {string} id
 * @param {number} others
 * @param {number} warmUpMs
 */
async function prepare({ startServer, startWorkers }, id, others, warmUpMs) {
  const server = await startServer()
  const setup = { id, url: server.url }
  const [worker, holder] = /** @type {[Worker, Worker]} */ (await startWorkers([setup, setup]))
  await holder.call('hold', others)
  // Before it is watched which commands are called by scripts: the first cycle on a name may use others than the next.
  for (const inFlight of [1, IN_FLIGHT]) await worker.call('fly', { inFlight, durationMs: warmUpMs })
  const inside = await commandsInScripts(server, () => worker.call('fly', { inFlight: IN_FLIGHT, durationMs: 1 }))
  const notes = await keepOnOneCore([server.pid, worker.pid])
  return { others, worker, notes, traffic: await Traffic.open(server, inside) }
}

/**
 * @param {readonly Awaited<ReturnType<typeof prepare>>[]} crews
 * @param {{ cycles: number, flightMs: number }} effort
 * @returns {Promise<Round[]>} one of each
 */
async function measureRound(crews, { cycles, flightMs }) {
  const slices = await interleave(Math.ceil(cycles / SLICE), crews, async ({ worker }) => {
    await worker.call('cycles', SLICE / 10)
    return worker.call('cycles', Math.min(SLICE, cycles))
  })
  const flights = await interleave(1, crews, async ({ worker, traffic }) => {
    await worker.call('fly', { inFlight: IN_FLIGHT, durationMs: Math.min(REWARM_MS, flightMs) })
    const before = await traffic.look()
    const { cycles: done, tookMs } = await worker.call('fly', { inFlight: IN_FLIGHT, durationMs: flightMs })
    return { cyclesPerSecond: done / (tookMs / 1_000), commandsPerCycle: (await traffic.since(before)).sent / done }
  })
  return crews.map((_, i) => {
    const durationsMs = (slices[i] ?? []).flatMap((slice) => [...slice])
    const flight = /** @type {{ cyclesPerSecond: number, commandsPerCycle: number }} */ (flights[i]?.[0])
    return { p50Us: percentile(durationsMs, 0.5) * 1_000, longestMs: percentile(durationsMs, 1), ...flight }
  })
}

/** @param {readonly Round[]} rounds */
function typical(rounds) {
  return { ...mediansOf(rounds, ['p50Us', 'longestMs', 'cyclesPerSecond', 'commandsPerCycle']), rounds }
}

/**
 * @param {readonly Measured[]} all
 * @param {readonly number[]} counts
 */
function report(all, counts) {
  const [none, most] = [Math.min(...counts), Math.max(...counts)]
  const base = (/** @type {Measured} */ { id }) => all.find((one) => one.id === id && one.others === none)
  const latency = (/** @type {Measured} */ one) => ratio(one, base(one), ({ p50Us }) => p50Us)
  const throughput = (/** @type {Measured} */ one) => ratio(one, base(one), ({ cyclesPerSecond }) => cyclesPerSecond)
  const rows = all.map((one) => {
    const { title: who, others, p50Us, longestMs, cyclesPerSecond, commandsPerCycle } = one
    return [who, others, p50Us, latency(one), longestMs, cyclesPerSecond, throughput(one), commandsPerCycle]
  })
  const columns = ['', 'other locks held', 'p50 µs', 'p50 × none held', 'longest ms', `cycles/s, ${IN_FLIGHT} in flight`]
  columns.push('cycles/s × none held', 'commands a cycle')
  const ours = all.find(({ id, others }) => id === 'halocksmith' && others === most)
  const what = `with ${most.toLocaleString('en')} other locks held against none:`
  const figures = [
    { what: `${what} p50 of a cycle`, measured: ours ? latency(ours) : Number.NaN, limit: LATENCY_LIMIT, unit: '×' },
    { what: `${what} cycles/s`, measured: ours ? throughput(ours) : Number.NaN, atLeast: THROUGHPUT_AT_LEAST, unit: '×' },
  ]
  return { tables: [{ columns, rows }], figures: measuredOnly(figures) }
}

/** @param {{ id: string, url: string }} setup */
export async function makeWorker({ id, url }) {
  const locker = await connect(id, url)
  let count = 0
  return {
    async hold(/** @type {number} */ locks) {
      await acquireMany(locker, 'other', locks)
    },
    fly: (/** @type {{ inFlight: number, durationMs: number }} */ { inFlight, durationMs }) => fly(locker, id, inFlight, durationMs),
    /** @param {number} cycles one at a time */
    async cycles(cycles) {
      const durationsMs = new Float64Array(cycles)
      for (let i = 0; i < cycles; i++) {
        const startedMs = performance.now()
        const held = await locker.acquire(`${id}-${count++ % 1_000}`)
        await held.release()
        durationsMs[i] = performance.now() - startedMs
      }
      return durationsMs
    },
    // The locks need not be released one by one: the server ends.
    close: () => {},
  }
}
