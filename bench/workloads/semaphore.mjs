// @ts-check
/** Several processes in which some want one of a few permits, and keep it for a moment. */
import { contenders } from '../contenders/index.mjs'
import { best, measuredOnly, ratio } from '../harness/compare.mjs'
import { CONTENDED_COLUMNS, compareCrews, contendedRow } from '../harness/crew.mjs'

export { makeWorker } from '../harness/crew.mjs'

export const name = 'semaphore'
export const title = 'Semaphore of 4'

// The other libraries have none.
const QUICK = ['halocksmith', 'redis-semaphore']
const CONTENDERS = ['halocksmith', 'halocksmith-ioredis', 'redis-semaphore', 'redis-semaphore-tuned']
const AT_LEAST = 2.5
const PERMITS = 4
const WORK_MS = 1
const EFFORT = {
  full: { rounds: 5, roundMs: 1_500, warmUpMs: 500, crowd: { processes: 8, claims: 4 }, ids: CONTENDERS },
  quick: { rounds: 1, roundMs: 600, warmUpMs: 200, crowd: { processes: 8, claims: 4 }, ids: QUICK },
  tiny: { rounds: 1, roundMs: 50, warmUpMs: 20, crowd: { processes: 2, claims: 4 }, ids: QUICK },
}

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { rounds, roundMs, warmUpMs, crowd, ids } = EFFORT[bench.effort]
  const { present, notes } = await contenders(ids)
  const permits = { ...crowd, limit: PERMITS }
  const all = await compareCrews(bench, present, { crowd: permits, workMs: WORK_MS, rounds, roundMs, warmUpMs })

  const explained = `${crowd.processes} processes with ${crowd.claims} claims each; ${WORK_MS} ms of work. Checked in each round: never more than ${PERMITS} were in.`
  const ours = all.find(({ id }) => id === 'halocksmith')
  const others = all.filter(({ kind }) => kind === 'theirs')
  const fastest = best(others, ({ cyclesPerSecond }) => cyclesPerSecond)
  const speed = ratio(ours, fastest, (round) => round.cyclesPerSecond)
  const figures = [{ what: `semaphore of ${PERMITS}: cycles/s against ${fastest?.title}`, measured: speed, atLeast: AT_LEAST, unit: '×' }]
  return {
    tables: [{ title: explained, columns: CONTENDED_COLUMNS, rows: all.map(contendedRow) }],
    figures: measuredOnly(figures),
    notes,
    numbers: { rounds, roundMs, workMs: WORK_MS, permits: PERMITS, contenders: all },
  }
}
