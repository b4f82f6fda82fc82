// @ts-check
/** How many commands a contended cycle costs, and whether the lock is exclusive and fair meanwhile, in crowds of several sizes. */
import { contenders } from '../contenders/index.mjs'
import { endCrew, measureCrew, measuredOf, prepareCrew } from '../harness/crew.mjs'
import { interleave } from '../harness/rounds.mjs'

export { makeWorker } from '../harness/crew.mjs'

export const name = 'commands'
export const title = 'Contended cycles on one name, in several crowds'

const CONTENDERS = ['halocksmith']
const LIMIT = 2.1
/** Processes, and claims of each. */
const CROWDS = /** @type {const} */ ([
  [2, 1],
  [4, 4],
  [8, 4],
  [8, 16],
])
const EFFORT = {
  full: { rounds: 3, durationMs: 1_500, turns: 2, warmUpMs: 500, works: [0, 1, 20], crowds: CROWDS },
  quick: { rounds: 1, durationMs: 400, turns: 1, warmUpMs: 200, works: [0, 1], crowds: CROWDS.slice(0, 2) },
  tiny: { rounds: 1, durationMs: 50, turns: 1, warmUpMs: 20, works: [0, 1], crowds: CROWDS.slice(0, 1) },
}

/** @typedef {import('../harness/crew.mjs').Measured & { workMs: number }} Scenario */

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { crowds, warmUpMs } = EFFORT[bench.effort]
  const { present } = await contenders(CONTENDERS)
  const scenarios = []
  for (const [processes, claims] of crowds) {
    const crews = []
    for (const contender of present) crews.push(await prepareCrew(bench, contender, { processes, claims }, warmUpMs))
    scenarios.push(...(await measureCrowd(crews, EFFORT[bench.effort])))
    for (const crew of crews) await endCrew(crew)
  }
  return report(scenarios)
}

/**
 * @param {readonly import('../harness/crew.mjs').Crew[]} crews one of each contender, all of the same size
 * @param {{ rounds: number, durationMs: number, turns: number, works: readonly number[] }} effort `turns`: how often each claim is to have the name, at the least
 */
async function measureCrowd(crews, { rounds, durationMs, turns, works }) {
  /** @type {Scenario[]} */
  const scenarios = []
  for (const workMs of works) {
    const measured = await interleave(rounds, crews, (crew) => {
      const enoughMs = turns * crew.processes * crew.claims * workMs
      return measureCrew(crew, workMs, Math.max(durationMs, enoughMs))
    })
    crews.forEach((crew, i) => {
      scenarios.push({ ...measuredOf(crew, measured[i] ?? []), workMs })
    })
  }
  return scenarios
}

const COLUMNS = ['processes × claims', 'work ms', 'commands a cycle', 'inside scripts', 'cycles/s', 'server CPU µs']
COLUMNS.push('wait p50 ms', 'longest wait ms', 'Jain index')

/** @param {readonly Scenario[]} scenarios */
function report(scenarios) {
  const rows = scenarios.map((one) => {
    const { processes, claims, workMs, commandsPerCycle, insidePerCycle, cyclesPerSecond, serverCpuUsPerCycle } = one
    const traffic = [`${processes} × ${claims}`, workMs, commandsPerCycle, insidePerCycle, cyclesPerSecond, serverCpuUsPerCycle]
    return [...traffic, one.waitP50Ms, one.longestWaitMs, one.jain]
  })
  const measured = Math.max(...scenarios.map(({ commandsPerCycle }) => commandsPerCycle))
  const checked = 'Checked in each round: two never held it at once, by the clock that all processes share, and tokens grew.'
  return {
    tables: [{ title: checked, columns: COLUMNS, rows }],
    figures: [{ what: 'commands of a contended cycle, the most of these', measured, limit: LIMIT, unit: 'commands' }],
    numbers: { scenarios },
  }
}
