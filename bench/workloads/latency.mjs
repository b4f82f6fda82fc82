// @ts-check
/** How long one acquire and release takes when nobody else wants the name, one at a time. */
import { connect, contenders } from '../contenders/index.mjs'
import { best, measuredOnly, ratio } from '../harness/compare.mjs'
import { keepOnOneCore } from '../harness/one-core.mjs'
import { interleave } from '../harness/rounds.mjs'
import { mediansOf, percentile } from '../harness/stats.mjs'
import { commandsInScripts, Traffic } from '../harness/traffic.mjs'

export const name = 'latency'
export const title = 'Uncontended cycle, one at a time'

const QUICK = ['raw', 'halocksmith', 'simple-redis-mutex', 'raw-ioredis', 'halocksmith-ioredis', 'redlock', 'redis-semaphore']
const CONTENDERS = [...QUICK, 'raw-defaults', 'redlock-universal-node-redis', 'redlock-universal', 'verrou']
const CLIENTS = /** @type {const} */ (['node-redis', 'ioredis'])
/** Against the raw limit, and against the fastest other library, on the same client. */
const LIMIT = 1.15
const LIMIT_OF_OTHERS = 1
const EFFORT = {
  full: { rounds: 11, cycles: 2_000, warmUpMs: 1_500, ids: CONTENDERS },
  quick: { rounds: 3, cycles: 1_000, warmUpMs: 1_000, ids: QUICK },
  tiny: { rounds: 2, cycles: 20, warmUpMs: 20, ids: CONTENDERS },
}
/** The contenders take turns after so many cycles, many times in a round. */
const SLICE = 100
/** A process that stood still is slow at first: so many cycles before each slice are not counted. */
const REWARM_CYCLES = 10
/** How many names are used in turn: programs meet most names again. */
const NAMES = 1_000

/** @typedef {{ durationsMs: Float64Array, clientCpuMs: number, serverCpuMs: number, sent: number }} Slice */
/** @typedef {{ worker: import('../harness/workers.mjs').Worker, traffic: Traffic }} Crew */
/** @typedef {ReturnType<typeof roundOf>} Round */
/** @typedef {import('../contenders/index.mjs').Contender & ReturnType<typeof typical>} Measured */

/** @param {import('./index.mjs').Bench} bench */
export async function run({ server, effort, startWorkers }) {
  const { rounds, cycles, warmUpMs, ids } = EFFORT[effort]
  const { present, notes } = await contenders(ids)
  const workers = await startWorkers(present.map(({ id }) => ({ id, url: server.url })))
  notes.push(...(await keepOnOneCore([server.pid, ...workers.map(({ pid }) => pid)])))
  // One after the other, for they share the core.
  for (const worker of workers) await worker.call('warmUp', warmUpMs)
  /** @type {Crew[]} */
  const crews = []
  for (const worker of workers) {
    const inside = await commandsInScripts(server, () => worker.call('measure', REWARM_CYCLES))
    crews.push({ worker, traffic: await Traffic.open(server, inside) })
  }
  /** @param {Crew} crew */
  const measureSlice = async ({ worker, traffic }) => {
    await worker.call('measure', REWARM_CYCLES)
    const before = await traffic.look()
    const { durationsMs, clientCpuMs } = await worker.call('measure', Math.min(SLICE, cycles))
    const { serverCpuMs, sent } = await traffic.since(before)
    return { durationsMs, clientCpuMs, serverCpuMs, sent }
  }
  /** @type {Round[][]} */
  const measured = present.map(() => [])
  for (let round = 0; round < rounds; round++) {
    const slices = await interleave(Math.ceil(cycles / SLICE), crews, measureSlice)
    slices.forEach((of, i) => measured[i]?.push(roundOf(of)))
  }
  for (const { traffic } of crews) traffic.close()
  const all = present.map((contender, i) => ({ ...contender, ...typical(measured[i] ?? []) }))
  return { ...report(all), notes, numbers: { rounds, cycles, contenders: all } }
}

/** @param {readonly Slice[]} slices */
function roundOf(slices) {
  const durationsMs = slices.flatMap((slice) => [...slice.durationsMs])
  const mean = (/** @type {(slice: Slice) => number} */ of) => slices.reduce((sum, slice) => sum + of(slice), 0) / durationsMs.length
  return {
    p50Us: percentile(durationsMs, 0.5) * 1_000,
    p99Us: percentile(durationsMs, 0.99) * 1_000,
    longestMs: percentile(durationsMs, 1),
    clientCpuUs: mean(({ clientCpuMs }) => clientCpuMs) * 1_000,
    serverCpuUs: mean(({ serverCpuMs }) => serverCpuMs) * 1_000,
    commandsPerCycle: mean(({ sent }) => sent),
  }
}

/** @param {readonly Round[]} rounds */
function typical(rounds) {
  return { ...mediansOf(rounds, ['p50Us', 'p99Us', 'longestMs', 'clientCpuUs', 'serverCpuUs', 'commandsPerCycle']), rounds }
}

const p50 = (/** @type {{ p50Us: number }} */ { p50Us }) => p50Us

/** @param {readonly Measured[]} all */
function report(all) {
  const rawOf = (/** @type {string} */ client) => all.find((one) => one.kind === 'raw' && one.client === client)
  const rows = all.map((one) => {
    const { p50Us, p99Us, longestMs, commandsPerCycle, clientCpuUs, serverCpuUs } = one
    return [one.title, one.client, p50Us, ratio(one, rawOf(one.client), p50), p99Us, longestMs, commandsPerCycle, clientCpuUs, serverCpuUs]
  })
  const columns = ['a cycle is acquire + release', 'client', 'p50 µs', 'p50 × raw', 'p99 µs', 'longest ms', 'commands a cycle']
  columns.push('client CPU µs', 'server CPU µs')
  const figures = CLIENTS.flatMap((client) => {
    const ours = all.find((one) => one.kind === 'ours' && one.client === client)
    const others = all.filter((one) => one.kind === 'theirs' && one.client === client)
    const fastest = best(others, ({ p50Us }) => -p50Us)
    const what = `uncontended cycle on ${client}, p50 against`
    return [
      { what: `${what} the raw limit`, measured: ratio(ours, rawOf(client), p50), limit: LIMIT, unit: '×' },
      { what: `${what} ${fastest?.title}`, measured: ratio(ours, fastest, p50), limit: LIMIT_OF_OTHERS, unit: '×' },
    ]
  })
  return { tables: [{ title: 'Client and server on one core.', columns, rows }], figures: measuredOnly(figures) }
}

/** @param {{ id: string, url: string }} setup */
export async function makeWorker({ id, url }) {
  const locker = await connect(id, url)
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
