// @ts-check
/** One process in which many want the same name, as requests of one server do, and do nothing with it. */
import { contenders } from '../contenders/index.mjs'
import { best, measuredOnly, ratio } from '../harness/compare.mjs'
import { CONTENDED_COLUMNS, contendedRow, endCrew, measureCrew, measuredOf, prepareCrew } from '../harness/crew.mjs'
import { interleave } from '../harness/rounds.mjs'

export { makeWorker } from '../harness/crew.mjs'

export const name = 'one-process'
export const title = 'One hot name in one process'

const QUICK = ['halocksmith', 'redlock', 'redis-semaphore']
const TINY = ['halocksmith', 'redis-semaphore']
const OTHERS = ['redlock-tuned', 'redis-semaphore-tuned', 'simple-redis-mutex', 'redlock-universal', 'verrou']
const CONTENDERS = ['halocksmith', 'halocksmith-ioredis', 'halocksmith-remote', 'redlock', 'redis-semaphore', ...OTHERS]
const CYCLES_AT_LEAST = 20
const JAIN_AT_LEAST = 0.99
const WAIT_LIMIT = 1 / 20
/** The largest one is what the figures are of. */
const CLAIMS = [16, 128]
const EFFORT = {
  full: { rounds: 3, roundMs: 1_500, warmUpMs: 500, sizes: CLAIMS, ids: CONTENDERS },
  quick: { rounds: 1, roundMs: 400, warmUpMs: 200, sizes: CLAIMS, ids: QUICK },
  tiny: { rounds: 1, roundMs: 30, warmUpMs: 20, sizes: [4], ids: TINY },
}

/** @typedef {import('../harness/crew.mjs').Measured} Measured */

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { rounds, roundMs, warmUpMs, sizes, ids } = EFFORT[bench.effort]
  const { present, notes } = await contenders(ids)
  /** @type {Measured[]} */
  const all = []
  const prepared = []
  for (const contender of present) {
    prepared.push(await prepareCrew(bench, contender, { processes: 1, claims: Math.min(...sizes) }, warmUpMs))
  }
  for (const claims of sizes) {
    const crews = prepared.map((crew) => ({ ...crew, claims }))
    const measured = await interleave(rounds, crews, (crew) => measureCrew(crew, 0, roundMs))
    all.push(...crews.map((crew, i) => measuredOf(crew, measured[i] ?? [])))
  }
  for (const crew of prepared) await endCrew(crew)
  return { ...report(all, sizes), notes, numbers: { rounds, roundMs, contenders: all } }
}

/**
 * @param {readonly Measured[]} all
 * @param {readonly number[]} sizes
 */
function report(all, sizes) {
  const largest = Math.max(...sizes)
  const tables = sizes.map((claims) => {
    const rows = all.filter((one) => one.claims === claims).map(contendedRow)
    return { title: `${claims} claims; each asks again as soon as it has let go.`, columns: CONTENDED_COLUMNS, rows }
  })
  const most = all.filter((one) => one.claims === largest)
  const ours = most.find(({ id }) => id === 'halocksmith')
  const others = most.filter(({ kind }) => kind === 'theirs')
  const fastest = best(others, ({ cyclesPerSecond }) => cyclesPerSecond)
  const speed = ratio(ours, fastest, (round) => round.cyclesPerSecond)
  const wait = ratio(ours, fastest, (round) => round.longestWaitMs)
  const what = `${largest} claims in one process:`
  const figures = [
    { what: `${what} cycles/s against ${fastest?.title}`, measured: speed, atLeast: CYCLES_AT_LEAST, unit: '×' },
    { what: `${what} longest wait against ${fastest?.title}`, measured: wait, limit: WAIT_LIMIT, unit: '×' },
    { what: `${what} Jain index`, measured: ours?.jain ?? Number.NaN, atLeast: JAIN_AT_LEAST, unit: '' },
  ]
  return { tables, figures: measuredOnly(figures) }
}
