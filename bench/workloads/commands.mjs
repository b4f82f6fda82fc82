// @ts-check
/** How many commands a contended cycle costs, and whether the lock is exclusive and fair meanwhile. */
import { contender } from '../contenders/index.mjs'
import { checkExclusion, contend, summarize, visitsOf } from '../harness/contention.mjs'
import { interleave } from '../harness/rounds.mjs'
import { median } from '../harness/stats.mjs'
import { commandsInScripts, Traffic } from '../harness/traffic.mjs'
import { callAll, stopAll } from '../harness/workers.mjs'

export const name = 'commands'
export const title = 'Contended cycles on one name'

const CONTENDERS = ['halocksmith']
const LIMIT = 2.1
/** Processes, and claims of each. */
const CROWDS = /** @type {const} */ ([
  [2, 1],
  [4, 4],
  [8, 4],
  [8, 16],
])
const WORKS_MS = [0, 1, 20]
const EFFORT = {
  full: { rounds: 3, durationMs: 1_500, turns: 2, warmUpMs: 500, works: WORKS_MS, crowds: CROWDS },
  quick: { rounds: 1, durationMs: 500, turns: 1, warmUpMs: 200, works: WORKS_MS, crowds: [CROWDS[0], CROWDS[3]] },
  tiny: { rounds: 1, durationMs: 50, turns: 1, warmUpMs: 20, works: [0, 1], crowds: CROWDS.slice(0, 1) },
}

/** @typedef {Awaited<ReturnType<typeof prepare>>} Crew */
/** @typedef {Awaited<ReturnType<typeof measureOnce>>} Measured */
/** @typedef {{ id: string, title: string, processes: number, claims: number, workMs: number } & ReturnType<typeof typical>} Scenario */

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { crowds } = EFFORT[bench.effort]
  const scenarios = []
  for (const [processes, claims] of crowds) {
    const crews = []
    for (const id of CONTENDERS) crews.push(await prepare(bench, id, processes, claims))
    scenarios.push(...(await measureCrowd(crews, EFFORT[bench.effort])))
    for (const { workers, traffic } of crews) {
      traffic.close()
      await stopAll(workers)
    }
  }
  return report(scenarios)
}

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {string} id
 * @param {number} processes
 * @param {number} claims
 */
async function prepare({ server, effort, startWorkers }, id, processes, claims) {
  const workers = await startWorkers(new Array(processes).fill({ id, url: server.url }))
  const warmUp = { name: 'warm-up', claims, workMs: 0, durationMs: EFFORT[effort].warmUpMs }
  await callAll(workers, 'contend', warmUp)
  const inside = await commandsInScripts(server, () => callAll(workers, 'contend', { ...warmUp, durationMs: 20 }))
  return { id, title: (await contender(id)).title, workers, claims, traffic: await Traffic.open(server, inside) }
}

/**
 * @param {readonly Crew[]} crews one of each contender, all of the same size
 * @param {{ rounds: number, durationMs: number, turns: number, works: readonly number[] }} effort `turns`: how often each claim is to have the name, at the least
 */
async function measureCrowd(crews, { rounds, durationMs, turns, works }) {
  /** @type {Scenario[]} */
  const scenarios = []
  for (const workMs of works) {
    const measured = await interleave(rounds, crews, (crew) => {
      const enoughMs = turns * crew.workers.length * crew.claims * workMs
      return measureOnce(crew, workMs, Math.max(durationMs, enoughMs))
    })
    crews.forEach(({ id, title: who, workers, claims }, i) => {
      const rest = typical(/** @type {Measured[]} */ (measured[i]))
      scenarios.push({ id, title: who, processes: workers.length, claims, workMs, ...rest })
    })
  }
  return scenarios
}

/**
 * @param {Crew} crew
 * @param {number} workMs
 * @param {number} durationMs
 */
async function measureOnce({ workers, claims, traffic }, workMs, durationMs) {
  const before = await traffic.look()
  const notes = await callAll(workers, 'contend', { name: 'hot', claims, workMs, durationMs })
  const { sent, inside, serverCpuMs } = await traffic.since(before)
  const visits = visitsOf(notes)
  checkExclusion(visits)
  const summary = summarize(visits, workers.length * claims)
  return {
    ...summary,
    commandsPerCycle: sent / summary.cycles,
    insidePerCycle: inside / summary.cycles,
    serverCpuUsPerCycle: (serverCpuMs / summary.cycles) * 1_000,
  }
}

/** @param {readonly Measured[]} rounds */
function typical(rounds) {
  const of = (/** @type {(round: Measured) => number} */ pick) => median(rounds.map(pick))
  return {
    commandsPerCycle: of((round) => round.commandsPerCycle),
    insidePerCycle: of((round) => round.insidePerCycle),
    cyclesPerSecond: of((round) => round.cyclesPerSecond),
    serverCpuUsPerCycle: of((round) => round.serverCpuUsPerCycle),
    waitP50Ms: of((round) => round.waitP50Ms),
    longestWaitMs: Math.max(...rounds.map((round) => round.longestWaitMs)),
    jain: of((round) => round.jain),
    rounds,
  }
}

const COLUMNS = ['processes × claims', 'work ms', 'commands a cycle', 'inside scripts', 'cycles/s', 'server CPU µs']
COLUMNS.push('wait p50 ms', 'longest wait ms', 'Jain index')

/** @param {readonly Scenario[]} scenarios */
function report(scenarios) {
  const several = CONTENDERS.length > 1
  const rows = scenarios.map((one) => {
    const { processes, claims, workMs, commandsPerCycle, insidePerCycle, cyclesPerSecond, serverCpuUsPerCycle } = one
    const traffic = [`${processes} × ${claims}`, workMs, commandsPerCycle, insidePerCycle, cyclesPerSecond, serverCpuUsPerCycle]
    return [...(several ? [one.title] : []), ...traffic, one.waitP50Ms, one.longestWaitMs, one.jain]
  })
  const ours = scenarios.filter(({ id }) => id === 'halocksmith')
  const measured = Math.max(...ours.map(({ commandsPerCycle }) => commandsPerCycle))
  const checked = 'Checked in each round: two never held it at once, by the clock that all processes share, and tokens grew.'
  return {
    tables: [{ title: checked, columns: several ? ['', ...COLUMNS] : COLUMNS, rows }],
    figures: [{ what: 'commands of a contended cycle, the most of these', measured, limit: LIMIT, unit: 'commands' }],
    numbers: { scenarios },
  }
}

/** @param {{ id: string, url: string }} setup */
export async function makeWorker({ id, url }) {
  const locker = await (await contender(id)).connect(url)
  return {
    contend: (/** @type {import('../harness/contention.mjs').Contention} */ contention) => contend(locker, contention),
    close: () => locker.close(),
  }
}
