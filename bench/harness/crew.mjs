// @ts-check
/** The processes of one contender that want the same name: started, warmed up, and measured in rounds. */
import { connect, connectQuorum } from '../contenders/index.mjs'
import { checkExclusion, checkLimit, contend, summarize, visitsOf } from './contention.mjs'
import { interleave } from './rounds.mjs'
import { mediansOf } from './stats.mjs'
import { commandsInScripts, Traffic } from './traffic.mjs'
import { callAll, stopAll } from './workers.mjs'

/** @typedef {import('../contenders/index.mjs').Contender} Contender */

/**
 * @typedef {object} Crowd
 * @property {number} processes
 * @property {number} claims of each process
 * @property {number} [limit] of a semaphore; without it, it is a mutex
 */

/** @typedef {Contender & Crowd & { workers: import('./workers.mjs').Worker[], traffic: Traffic }} Crew */
/** @typedef {Awaited<ReturnType<typeof measureCrew>>} Round */
/** @typedef {Contender & Crowd & ReturnType<typeof typical>} Measured */

/** So long is watched which commands are called by scripts. */
const WATCH_MS = 20

/**
 * Starts them and lets them run for a while; they need {@link makeWorker} over there.
 *
 * @param {import('../workloads/index.mjs').Bench} bench
 * @param {Contender} contender
 * @param {Crowd} crowd
 * @param {number} warmUpMs
 * @param {readonly string[]} [urls] of several independent servers to lock on, of which the bench's own is one: its commands are counted
 * @returns {Promise<Crew>}
 */
export async function prepareCrew({ server, startWorkers }, contender, crowd, warmUpMs, urls) {
  const { processes, claims, limit } = crowd
  const workers = await startWorkers(new Array(processes).fill({ id: contender.id, url: server.url, urls }))
  const warmUp = { name: `warm-up of ${contender.id}`, claims, limit, workMs: 0, durationMs: warmUpMs }
  await callAll(workers, 'contend', warmUp)
  const inside = await commandsInScripts(server, () => callAll(workers, 'contend', { ...warmUp, durationMs: WATCH_MS }))
  return { ...contender, ...crowd, workers, traffic: await Traffic.open(server, inside) }
}

/**
 * One round. Fails when the lock was not exclusive.
 *
 * @param {Crew} crew
 * @param {number} workMs
 * @param {number} durationMs
 */
export async function measureCrew({ id, workers, claims, limit, traffic }, workMs, durationMs) {
  const before = await traffic.look()
  const parts = await callAll(workers, 'contend', { name: `hot of ${id}`, claims, limit, workMs, durationMs })
  const { sent, inside, serverCpuMs } = await traffic.since(before)
  const visits = visitsOf(parts)
  try {
    if (limit === undefined) checkExclusion(visits)
    else checkLimit(visits, limit)
  } catch (error) {
    throw new Error(`${id} is no lock: ${/** @type {Error} */ (error).message}`)
  }
  const summary = summarize(parts, visits, claims)
  return {
    ...summary,
    commandsPerCycle: sent / summary.visits,
    insidePerCycle: inside / summary.visits,
    serverCpuUsPerCycle: (serverCpuMs / summary.visits) * 1_000,
  }
}

/** @param {Crew} crew */
export async function endCrew({ workers, traffic }) {
  traffic.close()
  await stopAll(workers)
}

/**
 * All of it: starts a crew of each contender, has them measured in turns, and ends them.
 *
 * @param {import('../workloads/index.mjs').Bench} bench
 * @param {readonly Contender[]} contenders
 * @param {{ crowd: Crowd, workMs: number, rounds: number, roundMs: number, warmUpMs: number }} effort
 * @returns {Promise<Measured[]>}
 */
export async function compareCrews(bench, contenders, { crowd, workMs, rounds, roundMs, warmUpMs }) {
  const crews = []
  for (const contender of contenders) crews.push(await prepareCrew(bench, contender, crowd, warmUpMs))
  const measured = await interleave(rounds, crews, (crew) => measureCrew(crew, workMs, roundMs))
  for (const crew of crews) await endCrew(crew)
  return crews.map((crew, i) => measuredOf(crew, measured[i] ?? []))
}

/**
 * For the numbers: without what runs.
 *
 * @param {Crew} crew
 * @param {readonly Round[]} rounds
 * @returns {Measured}
 */
export function measuredOf({ workers: _, traffic: __, ...rest }, rounds) {
  return { ...rest, ...typical(rounds) }
}

/** @param {readonly Round[]} rounds */
function typical(rounds) {
  return {
    ...mediansOf(rounds, [
      'commandsPerCycle',
      'insidePerCycle',
      'cyclesPerSecond',
      'serverCpuUsPerCycle',
      'clientCpuPercent',
      'waitP50Ms',
      'longestWaitMs',
      'jain',
      'jainOfProcesses',
      'neverIn',
      'errors',
    ]),
    rounds,
  }
}

/** The columns of {@link contendedRow}. */
export const CONTENDED_COLUMNS = [
  '',
  'cycles/s',
  'commands a cycle',
  'Jain index',
  'longest wait ms',
  'wait p50 ms',
  'never in',
  'errors',
  'client CPU %',
]

/** @param {Measured} one */
export function contendedRow({
  title,
  cyclesPerSecond,
  commandsPerCycle,
  jain,
  longestWaitMs,
  waitP50Ms,
  neverIn,
  errors,
  clientCpuPercent,
}) {
  return [title, cyclesPerSecond, commandsPerCycle, jain, longestWaitMs, waitP50Ms, neverIn, errors, clientCpuPercent]
}

/**
 * In a worker.
 *
 * @param {{ id: string, url: string, urls?: readonly string[] }} setup
 */
export async function makeWorker({ id, url, urls }) {
  const locker = await (urls === undefined ? connect(id, url) : connectQuorum(id, urls))
  return {
    contend: (/** @type {import('./contention.mjs').Contention} */ contention) => contend(locker, contention),
    close: () => locker.close(),
  }
}
