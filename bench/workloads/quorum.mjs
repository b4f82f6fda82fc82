// @ts-check
/**
 * Several independent servers, a majority of which decides: what a lock costs that nobody else wants, against one bare round trip to a majority,
 * and what claims get that all want one name, against the libraries that lock on several servers too.
 */
import { contenders } from '../contenders/index.mjs'
import { best, measuredOnly, ratio } from '../harness/compare.mjs'
import {
  CONTENDED_COLUMNS,
  contendedRow,
  endCrew,
  makeWorker as makeCrewWorker,
  measureCrew,
  measuredOf,
  prepareCrew,
} from '../harness/crew.mjs'
import { KINDS, makeMajority } from '../harness/majority.mjs'
import { openNetwork } from '../harness/network.mjs'
import { interleave } from '../harness/rounds.mjs'
import { mediansOf, percentile } from '../harness/stats.mjs'
import { callAll, stopAll } from '../harness/workers.mjs'

export const name = 'quorum'
export const title = 'Quorum of independent servers'

const CONTENDERS = ['halocksmith', 'redlock', 'redlock-tuned', 'redis-semaphore', 'redis-semaphore-tuned']
const SERVERS = 5
const SMALL = 3
/** Each way. */
const DELAY_MS = 1
const LATENCY_LIMIT = 1.3
const CYCLES_AT_LEAST = 5
const JAIN_AT_LEAST = 0.95
const CROWDS = [
  { processes: 1, claims: 16 },
  { processes: 4, claims: 4 },
]
const EFFORT = {
  full: {
    rounds: 3,
    roundMs: 1_500,
    warmUpMs: 500,
    crowds: CROWDS,
    worksMs: [0, 1],
    lone: { rounds: 7, roundMs: 1_000, warmUpMs: 4_000 },
    ids: CONTENDERS,
  },
  quick: {
    rounds: 1,
    roundMs: 400,
    warmUpMs: 200,
    crowds: CROWDS,
    worksMs: [0, 1],
    lone: { rounds: 1, roundMs: 800, warmUpMs: 1_500 },
    ids: CONTENDERS,
  },
  tiny: {
    rounds: 1,
    roundMs: 50,
    warmUpMs: 20,
    crowds: [{ processes: 1, claims: 4 }],
    worksMs: [0],
    lone: { rounds: 1, roundMs: 20, warmUpMs: 20 },
    ids: ['halocksmith', 'redis-semaphore-tuned'],
  },
}

/** What a worker is, beside the crews of contenders. */
const NETWORK = 'network'
const MAJORITY = 'majority'

/** @typedef {import('../harness/crew.mjs').Measured & { workMs: number }} Measured */
/** @typedef {ReturnType<typeof latencyRound>} LatencyRound */
/** @typedef {{ servers: number, delayMs: number, rounds: LatencyRound[] } & LatencyRound} Lone */

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { ids, rounds, roundMs } = EFFORT[bench.effort]
  const { present, notes } = await contenders(ids)
  const five = [bench.server.port, ...(await startServers(bench, SERVERS - 1))]
  // One that is of two quorums would look to the larger like one that others have forgotten.
  const three = await startServers(bench, SMALL)
  const lone = await measureLone(bench, bench.effort === 'tiny' ? [three] : [three, five])
  const all = await measureContended(bench, present, five.map(urlOf))
  return {
    tables: [loneTable(lone), ...contendedTables(all)],
    figures: measuredOnly([...loneFigures(lone), ...contendedFigures(all)]),
    notes,
    numbers: { rounds, roundMs, lone, contenders: all },
  }
}

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {number} count
 */
async function startServers({ startServer }, count) {
  const servers = await Promise.all(Array.from({ length: count }, startServer))
  return servers.map(({ port }) => port)
}

const urlOf = (/** @type {number} */ port) => `redis://127.0.0.1:${port}`

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {readonly (readonly number[])[]} groups ports of servers
 * @returns {Promise<Lone[]>}
 */
async function measureLone({ effort, startWorkers }, groups) {
  const { rounds, roundMs, warmUpMs } = EFFORT[effort].lone
  const networks = await startWorkers(groups.map((ports) => ({ id: NETWORK, ports, delayMs: DELAY_MS })))
  const far = await callAll(networks, 'urls')
  const cases = groups.flatMap((ports, i) => [
    { servers: ports.length, delayMs: 0, urls: ports.map(urlOf) },
    { servers: ports.length, delayMs: DELAY_MS, urls: far[i] },
  ])
  const workers = await startWorkers(cases.map(({ urls }) => ({ id: MAJORITY, urls })))
  await callAll(workers, 'majority', warmUpMs)
  const measured = await interleave(rounds, workers, async (worker) => latencyRound(await worker.call('majority', roundMs)))
  await stopAll([...workers, ...networks])
  return cases.map(({ servers, delayMs }, i) => {
    const of = measured[i] ?? []
    return {
      servers,
      delayMs,
      ...mediansOf(of, ['pingUs', 'scriptUs', 'oursUs', 'ours99Us', 'againstScript', 'againstPing', 'count']),
      rounds: of,
    }
  })
}

/** @param {import('../harness/majority.mjs').Latencies} latencies */
function latencyRound(latencies) {
  const [pingUs = 0, scriptUs = 0, oursUs = 0] = KINDS.map((kind) => percentile(latencies[kind], 0.5) * 1_000)
  return {
    ...{ pingUs, scriptUs, oursUs },
    ours99Us: percentile(latencies.ours, 0.99) * 1_000,
    // Measured in turns in one process: within a round the machine is the same for all three.
    againstScript: oursUs / scriptUs,
    againstPing: oursUs / pingUs,
    count: latencies.ours.length,
  }
}

const networkOf = (/** @type {number} */ delayMs) => (delayMs === 0 ? 'loopback' : `${delayMs} ms each way`)

/** @param {readonly Lone[]} lone */
function loneTable(lone) {
  const columns = [
    'servers',
    'network',
    'PING p50 µs',
    'script p50 µs',
    'acquire p50 µs',
    'acquire × script',
    'acquire × PING',
    'acquire p99 µs',
  ]
  const rows = lone.map(({ servers, delayMs, pingUs, scriptUs, oursUs, againstScript, againstPing, ours99Us }) => {
    return [servers, networkOf(delayMs), pingUs, scriptUs, oursUs, againstScript, againstPing, ours99Us]
  })
  const explained =
    'Nobody else wants the name. PING and script: one command to all servers at once, until the slower of a majority has answered. On loopback that is mostly the time that the client itself takes for so many commands.'
  return { title: explained, columns, rows }
}

/** @param {readonly Lone[]} lone */
function loneFigures(lone) {
  return lone.map(({ servers, delayMs, againstScript }) => ({
    what: `quorum of ${servers}, ${networkOf(delayMs)}: acquire p50 against one round trip to the slower of a majority`,
    measured: againstScript,
    limit: LATENCY_LIMIT,
    unit: '×',
  }))
}

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {readonly import('../contenders/index.mjs').Contender[]} present
 * @param {readonly string[]} urls
 */
async function measureContended(bench, present, urls) {
  const { rounds, roundMs, warmUpMs, crowds, worksMs } = EFFORT[bench.effort]
  /** @type {Measured[]} */
  const all = []
  for (const crowd of crowds) {
    const crews = []
    for (const contender of present) crews.push(await prepareCrew(bench, contender, crowd, warmUpMs, urls))
    for (const workMs of worksMs) {
      const measured = await interleave(rounds, crews, (crew) => measureCrew(crew, workMs, roundMs))
      all.push(...crews.map((crew, i) => ({ ...measuredOf(crew, measured[i] ?? []), workMs })))
    }
    for (const crew of crews) await endCrew(crew)
  }
  return all
}

/** @param {readonly Measured[]} all of all crowds */
function contended(all) {
  const whatOf = (/** @type {Measured} */ { processes, claims, workMs }) => `${processes} × ${claims} claims, ${workMs} ms of work`
  const whats = [...new Set(all.map(whatOf))]
  return whats.map((what) => ({ what, those: all.filter((one) => whatOf(one) === what) }))
}

/** @param {readonly Measured[]} all */
function contendedTables(all) {
  return contended(all).map(({ what, those }) => {
    const explained = `${SERVERS} servers, ${what}. Commands: those of one server. Checked in each round: never two at a time.`
    return { title: explained, columns: CONTENDED_COLUMNS, rows: those.map(contendedRow) }
  })
}

/** @param {readonly Measured[]} all */
function contendedFigures(all) {
  return contended(all).flatMap(({ what, those }) => {
    const ours = those.find(({ kind }) => kind === 'ours')
    const against = ['redlock', 'redis-semaphore'].map((library) => {
      // Of the two settings of a library, the better.
      const other = best(
        those.filter(({ id }) => id === library || id === `${library}-tuned`),
        ({ cyclesPerSecond }) => cyclesPerSecond,
      )
      const measured = ratio(ours, other, ({ cyclesPerSecond }) => cyclesPerSecond)
      return { what: `quorum of ${SERVERS}, ${what}: cycles/s against ${other?.title}`, measured, atLeast: CYCLES_AT_LEAST, unit: '×' }
    })
    const jain = { what: `quorum of ${SERVERS}, ${what}: Jain index`, measured: ours?.jain ?? Number.NaN, atLeast: JAIN_AT_LEAST, unit: '' }
    return [...against, jain]
  })
}

/** @param {any} setup */
export async function makeWorker(setup) {
  if (setup.id === MAJORITY) return makeMajority(setup.urls)
  if (setup.id !== NETWORK) return makeCrewWorker(setup)
  const { urls, close } = await openNetwork(setup.ports, setup.delayMs)
  return { urls: () => urls, close }
}
