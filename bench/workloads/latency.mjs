// @ts-check
/** How long one acquire and release takes when nobody else wants the name, one at a time. */
import { contender } from '../contenders/index.mjs'
import { interleave } from '../harness/rounds.mjs'
import { median, percentile } from '../harness/stats.mjs'
import { Traffic } from '../harness/traffic.mjs'
import { callAll } from '../harness/workers.mjs'

export const name = 'latency'
export const title = 'Uncontended cycle, one at a time'

const CONTENDERS = ['raw', 'raw-defaults', 'halocksmith']
const LIMIT = 1.25
const EFFORT = {
  full: { rounds: 15, cycles: 2_000, warmUpMs: 1_500 },
  quick: { rounds: 5, cycles: 2_000, warmUpMs: 600 },
  tiny: { rounds: 2, cycles: 20, warmUpMs: 20 },
}
/**
 * The contenders take turns after so many cycles, many times in a round. A cycle takes three times as long when the system has the client
 * and the server on two cores as when they share one, as a sleeping core has to be woken each time; that changes every few seconds.
 */
const SLICE = 100
/** A process that stood still is slow at first: so many cycles before each slice are not counted. */
const REWARM_CYCLES = 10
/** How many names are used in turn: programs meet most names again. */
const NAMES = 1_000

/** @typedef {{ durationsMs: Float64Array, clientCpuMs: number, serverCpuMs: number }} Slice */
/** @typedef {{ p50Us: number, p99Us: number, clientCpuUs: number, serverCpuUs: number }} Round */

/** @param {import('./index.mjs').Bench} bench */
export async function run({ server, effort, startWorkers }) {
  const { rounds, cycles, warmUpMs } = EFFORT[effort]
  const workers = await startWorkers(CONTENDERS.map((id) => ({ id, url: server.url })))
  await callAll(workers, 'warmUp', warmUpMs)
  const traffic = await Traffic.open(server)
  /** @param {import('../harness/workers.mjs').Worker} worker */
  const measureSlice = async (worker) => {
    await worker.call('measure', REWARM_CYCLES)
    const beforeMs = await traffic.cpuMs()
    const { durationsMs, clientCpuMs } = await worker.call('measure', Math.min(SLICE, cycles))
    return { durationsMs, clientCpuMs, serverCpuMs: (await traffic.cpuMs()) - beforeMs }
  }
  /** @type {Round[][]} */
  const measured = CONTENDERS.map(() => [])
  for (let round = 0; round < rounds; round++) {
    const slices = await interleave(Math.ceil(cycles / SLICE), workers, measureSlice)
    slices.forEach((of, i) => measured[i]?.push(roundOf(of)))
  }
  traffic.close()
  const titles = await Promise.all(CONTENDERS.map(async (id) => (await contender(id)).title))
  return report(titles, measured, EFFORT[effort])
}

/**
 * @param {readonly Slice[]} slices
 * @returns {Round}
 */
function roundOf(slices) {
  const durationsMs = slices.flatMap((slice) => [...slice.durationsMs])
  const meanUs = (/** @type {(slice: Slice) => number} */ ms) =>
    (slices.reduce((sum, slice) => sum + ms(slice), 0) / durationsMs.length) * 1_000
  return {
    p50Us: percentile(durationsMs, 0.5) * 1_000,
    p99Us: percentile(durationsMs, 0.99) * 1_000,
    clientCpuUs: meanUs(({ clientCpuMs }) => clientCpuMs),
    serverCpuUs: meanUs(({ serverCpuMs }) => serverCpuMs),
  }
}

/**
 * @param {readonly string[]} titles
 * @param {readonly Round[][]} measured for each contender its rounds
 * @param {object} effort
 */
function report(titles, measured, effort) {
  const raw = /** @type {Round[]} */ (measured[0])
  const contenders = measured.map((rounds, i) => ({
    id: CONTENDERS[i],
    title: titles[i] ?? '',
    p50Us: median(rounds.map(({ p50Us }) => p50Us)),
    p99Us: median(rounds.map(({ p99Us }) => p99Us)),
    // Within a round the machine is about the same for all.
    ratioOfP50: median(rounds.map(({ p50Us }, round) => p50Us / /** @type {Round} */ (raw[round]).p50Us)),
    clientCpuUs: median(rounds.map(({ clientCpuUs }) => clientCpuUs)),
    serverCpuUs: median(rounds.map(({ serverCpuUs }) => serverCpuUs)),
    rounds,
  }))
  const rows = contenders.map((one) => [one.title, one.p50Us, one.p99Us, one.ratioOfP50, one.clientCpuUs, one.serverCpuUs])
  const columns = ['a cycle is acquire + release', 'p50 µs', 'p99 µs', 'p50 × raw', 'client CPU µs', 'server CPU µs']
  const measuredRatio = contenders.find(({ id }) => id === 'halocksmith')?.ratioOfP50 ?? Number.NaN
  return {
    tables: [{ columns, rows }],
    figures: [{ what: 'uncontended cycle, p50 against the raw limit', measured: measuredRatio, limit: LIMIT, unit: '×' }],
    numbers: { ...effort, contenders },
  }
}

/** @param {{ id: string, url: string }} setup */
export async function makeWorker({ id, url }) {
  const locker = await (await contender(id)).connect(url)
  let count = 0
  const cycle = async () => {
    const held = await locker.acquire(`${id}-${count++ % NAMES}`)
    await held.release()
  }
  return {
    /** @param {number} ms */
    async warmUp(ms) {
      for (const endMs = performance.now() + ms; performance.now() < endMs; ) await cycle()
    },
    /** @param {number} cycles */
    async measure(cycles) {
      const durationsMs = new Float64Array(cycles)
      const cpuBefore = process.cpuUsage()
      for (let i = 0; i < cycles; i++) {
        const startedMs = performance.now()
        await cycle()
        durationsMs[i] = performance.now() - startedMs
      }
      const { user, system } = process.cpuUsage(cpuBefore)
      return { durationsMs, clientCpuMs: (user + system) / 1_000 }
    },
    close: () => locker.close(),
  }
}
