// @ts-check
/** How many cycles one process gets done when nobody else wants the names, many at once. */
import { connect, contenders } from '../contenders/index.mjs'
import { measuredOnly, ratio } from '../harness/compare.mjs'
import { fly } from '../harness/flight.mjs'
import { interleave } from '../harness/rounds.mjs'
import { mediansOf, percentile } from '../harness/stats.mjs'
import { commandsInScripts, Traffic } from '../harness/traffic.mjs'
import { callAll } from '../harness/workers.mjs'

export const name = 'throughput'
export const title = 'Uncontended cycles, many in flight'

const QUICK = ['raw', 'halocksmith', 'raw-ioredis', 'raw-ioredis-pipelining', 'halocksmith-ioredis', 'redlock', 'redis-semaphore']
const OTHERS = ['redlock-universal-node-redis', 'simple-redis-mutex', 'redlock-universal', 'verrou']
const CONTENDERS = [...QUICK, 'raw-defaults', ...OTHERS]
/** One command for each operation, which the client puts into few packets. */
const PIPELINING = /** @type {const} */ ({ 'node-redis': 'raw', ioredis: 'raw-ioredis-pipelining' })
const AT_LEAST = 2
const CPU_LIMIT = 0.4
/** The larger one is what the figures are of. */
const FLIGHTS = [64, 256]
const EFFORT = {
  full: { rounds: 7, roundMs: 300, warmUpMs: 1_000, ids: CONTENDERS },
  quick: { rounds: 2, roundMs: 100, warmUpMs: 300, ids: QUICK },
  tiny: { rounds: 1, roundMs: 20, warmUpMs: 20, ids: QUICK },
}
/** A process that stood still is slow at first. */
const REWARM_MS = 30

/** @typedef {ReturnType<typeof roundOf>} Round */
/** @typedef {import('../contenders/index.mjs').Contender & { inFlight: number } & ReturnType<typeof typical>} Measured */

/** @param {import('./index.mjs').Bench} bench */
export async function run({ server, effort, startWorkers }) {
  const { rounds, roundMs, warmUpMs, ids } = EFFORT[effort]
  const { present, notes } = await contenders(ids)
  const workers = await startWorkers(present.map(({ id }) => ({ id, url: server.url })))
  const most = Math.max(...FLIGHTS)
  await callAll(workers, 'fly', { inFlight: most, durationMs: warmUpMs })
  const crews = []
  for (const worker of workers) {
    const inside = await commandsInScripts(server, () => worker.call('fly', { inFlight: most, durationMs: 1 }))
    crews.push({ worker, traffic: await Traffic.open(server, inside) })
  }
  /** @type {Measured[]} */
  const all = []
  for (const inFlight of FLIGHTS) {
    const measured = await interleave(rounds, crews, async ({ worker, traffic }) => {
      await worker.call('fly', { inFlight, durationMs: Math.min(REWARM_MS, roundMs) })
      const before = await traffic.look()
      const flight = await worker.call('fly', { inFlight, durationMs: roundMs })
      return roundOf(flight, await traffic.since(before))
    })
    all.push(...present.map((contender, i) => ({ ...contender, inFlight, ...typical(measured[i] ?? []) })))
  }
  for (const { traffic } of crews) traffic.close()
  return { ...report(all), notes, numbers: { rounds, roundMs, contenders: all } }
}

/**
 * @param {import('../harness/flight.mjs').Flight} flight
 * @param {import('../harness/traffic.mjs').Spent} spent
 */
function roundOf({ cycles, tookMs, clientCpuMs, durationsMs }, { sent, serverCpuMs }) {
  return {
    cyclesPerSecond: cycles / (tookMs / 1_000),
    p50Ms: percentile(durationsMs, 0.5),
    longestMs: percentile(durationsMs, 1),
    commandsPerCycle: sent / cycles,
    clientCpuUs: (clientCpuMs / cycles) * 1_000,
    serverCpuUs: (serverCpuMs / cycles) * 1_000,
  }
}

/** @param {readonly Round[]} rounds */
function typical(rounds) {
  return { ...mediansOf(rounds, ['cyclesPerSecond', 'p50Ms', 'longestMs', 'commandsPerCycle', 'clientCpuUs', 'serverCpuUs']), rounds }
}

/** @param {readonly Measured[]} all */
function report(all) {
  const find = (/** @type {string} */ id, /** @type {number} */ inFlight) => all.find((one) => one.id === id && one.inFlight === inFlight)
  const columns = ['', 'cycles/s', '× raw, pipelined', 'commands a cycle', 'p50 ms', 'longest ms', 'client CPU µs', 'server CPU µs']
  const tables = FLIGHTS.map((inFlight) => {
    const rows = all.flatMap((one) => {
      if (one.inFlight !== inFlight) return []
      const timesRaw = ratio(one, find(PIPELINING[one.client], inFlight), (round) => round.cyclesPerSecond)
      return [[one.title, one.cyclesPerSecond, timesRaw, one.commandsPerCycle, one.p50Ms, one.longestMs, one.clientCpuUs, one.serverCpuUs]]
    })
    return { title: `${inFlight} in flight; each on a name that nobody else wants, so nobody waits for another.`, columns, rows }
  })
  const most = Math.max(...FLIGHTS)
  const semaphore = find('redis-semaphore', most)
  const figures = [find('halocksmith', most), find('halocksmith-ioredis', most)].flatMap((ours) => {
    if (ours === undefined) return []
    const raw = find(PIPELINING[ours.client], most)
    const speed = ratio(ours, raw, (round) => round.cyclesPerSecond)
    const cpu = ratio(ours, semaphore, (round) => round.clientCpuUs)
    const what = `${most} in flight on ${ours.client}:`
    return [
      { what: `${what} cycles/s against the raw limit, pipelined`, measured: speed, atLeast: AT_LEAST, unit: '×' },
      { what: `${what} client CPU of a cycle against redis-semaphore`, measured: cpu, limit: CPU_LIMIT, unit: '×' },
    ]
  })
  return { tables, figures: measuredOnly(figures) }
}

/** @param {{ id: string, url: string }} setup */
export async function makeWorker({ id, url }) {
  const locker = await connect(id, url)
  return {
    fly: (/** @type {{ inFlight: number, durationMs: number }} */ { inFlight, durationMs }) => fly(locker, id, inFlight, durationMs),
    close: () => locker.close(),
  }
}
