// @ts-check
/** Several processes in which some want the same name, and keep it for a moment. */
import { contenders } from '../contenders/index.mjs'
import { best, measuredOnly, ratio } from '../harness/compare.mjs'
import { CONTENDED_COLUMNS, compareCrews, contendedRow } from '../harness/crew.mjs'

export { makeWorker } from '../harness/crew.mjs'

export const name = 'many-processes'
export const title = 'One hot name in many processes'

const QUICK = ['halocksmith', 'halocksmith-remote', 'redlock', 'redis-semaphore']
const TINY = ['halocksmith', 'redis-semaphore']
const OTHERS = ['redlock-tuned', 'redis-semaphore-tuned', 'simple-redis-mutex', 'redlock-universal', 'verrou']
const CONTENDERS = ['halocksmith', 'halocksmith-ioredis', 'halocksmith-remote', 'redlock', 'redis-semaphore', ...OTHERS]
const AT_LEAST_OF_OTHERS = 1.2
const AT_LEAST_OF_REMOTE = 0.95
const JAIN_AT_LEAST = 0.95
const COMMANDS_LIMIT = 1
const WORK_MS = 1
const EFFORT = {
  full: { rounds: 3, roundMs: 2_000, warmUpMs: 500, crowd: { processes: 8, claims: 4 }, ids: CONTENDERS },
  quick: { rounds: 1, roundMs: 600, warmUpMs: 200, crowd: { processes: 8, claims: 4 }, ids: QUICK },
  tiny: { rounds: 1, roundMs: 50, warmUpMs: 20, crowd: { processes: 2, claims: 2 }, ids: TINY },
}

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { rounds, roundMs, warmUpMs, crowd, ids } = EFFORT[bench.effort]
  const { present, notes } = await contenders(ids)
  const all = await compareCrews(bench, present, { crowd, workMs: WORK_MS, rounds, roundMs, warmUpMs })
  return { ...report(all, crowd), notes, numbers: { rounds, roundMs, workMs: WORK_MS, contenders: all } }
}

/**
 * @param {readonly import('../harness/crew.mjs').Measured[]} all
 * @param {import('../harness/crew.mjs').Crowd} crowd
 */
function report(all, { processes, claims }) {
  const columns = CONTENDED_COLUMNS.toSpliced(4, 0, 'Jain of processes')
  const rows = all.map((one) => contendedRow(one).toSpliced(4, 0, one.jainOfProcesses))
  const explained = `${processes} processes with ${claims} claims each; ${WORK_MS} ms of work.`
  const ours = all.find(({ id }) => id === 'halocksmith')
  const remote = all.find(({ id }) => id === 'halocksmith-remote')
  const others = all.filter(({ kind }) => kind === 'theirs')
  const fastest = best(others, ({ cyclesPerSecond }) => cyclesPerSecond)
  const against = (/** @type {typeof ours} */ other) => ratio(ours, other, (round) => round.cyclesPerSecond)
  const what = `${processes} × ${claims} claims, ${WORK_MS} ms of work:`
  const figures = [
    { what: `${what} cycles/s against ${fastest?.title}`, measured: against(fastest), atLeast: AT_LEAST_OF_OTHERS, unit: '×' },
    { what: `${what} cycles/s against no local hand-over`, measured: against(remote), atLeast: AT_LEAST_OF_REMOTE, unit: '×' },
    { what: `${what} Jain index of the processes`, measured: ours?.jainOfProcesses ?? Number.NaN, atLeast: JAIN_AT_LEAST, unit: '' },
    { what: `${what} commands of a cycle`, measured: ours?.commandsPerCycle ?? Number.NaN, limit: COMMANDS_LIMIT, unit: 'commands' },
  ]
  return { tables: [{ title: explained, columns, rows }], figures: measuredOnly(figures) }
}
