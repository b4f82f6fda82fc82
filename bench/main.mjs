// @ts-check
// Measures the built package against the raw limit of its server and against other libraries, and prints Markdown. See README.md.
//
//   node bench/main.mjs [--quick | --tiny] [--only <workload>[,…]] [--json <file>] [--chart <file>] [--profile <folder>]

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findRedisServer } from '../scripts/find-redis.mjs'
import { startRedis } from '../scripts/redis-server.mjs'
import { drawChart } from './harness/chart.mjs'
import { installPackages } from './harness/install.mjs'
import { describeMachine, machineLine } from './harness/machine.mjs'
import { figureTable, isReached, markdown } from './harness/table.mjs'
import { stopAll, Worker } from './harness/workers.mjs'
import { workloads } from './workloads/index.mjs'

/** @typedef {import('./workloads/index.mjs').Workload} Workload */
/** @typedef {{ effort: import('./workloads/index.mjs').Effort, chosen: Workload[], json?: string, chart?: string, nodeOptions: string[] }} Options */

const USAGE = `node bench/main.mjs [--quick | --tiny] [--only <workload>[,…]] [--json <file>] [--chart <file>] [--profile <folder>]
workloads: ${workloads.map(({ name }) => name).join(', ')}`

const options = readOptions()
if (options !== undefined) {
  await main(options)
} else {
  console.error(USAGE)
  process.exitCode = 2
}

/** @param {Options} options */
async function main({ effort, chosen, json, chart, nodeOptions }) {
  lookAtBuild()
  // To see that it runs, what is there is enough.
  if (effort !== 'tiny') installPackages((line) => console.error(line))
  const redis = await findRedisServer({ install: 'quiet', log: (line) => console.error(line) })
  if (redis.path === null) throw new Error(redis.reason)
  const machine = describeMachine(redis.version)
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  console.log(`# halocksmith ${version}, measured\n\n${machineLine(machine)}${effort === 'full' ? '' : `; ${effort} run`}`)

  const figures = []
  /** @type {Record<string, object>} */
  const numbers = {}
  for (const workload of chosen) {
    console.log(`\n## ${workload.title}\n`)
    const startedMs = performance.now()
    const result = await run(workload, redis, effort, nodeOptions)
    console.error(`${workload.name}: ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`)
    for (const table of result.tables) console.log(`${markdown(table)}\n`)
    for (const note of result.notes ?? []) console.log(`${note}\n`)
    if (result.figures.length > 0) console.log(figureTable(result.figures))
    numbers[workload.name] = { ...result.numbers, figures: result.figures.map((figure) => ({ ...figure, reached: isReached(figure) })) }
    figures.push(...result.figures)
  }
  if (chosen.length > 1) console.log(`\n## All figures\n\n${figureTable(figures)}`)
  const measuredAt = new Date().toISOString()
  const report = { version, measuredAt, effort, machine, workloads: numbers }
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`)
  if (chart !== undefined) writeFileSync(chart, drawChart(report))
  console.log(`\nIt took ${Math.round(performance.now() / 1_000)} s.`)
}

/**
 * With a server and workers of its own, which are gone afterwards, however it ends.
 *
 * @param {Workload} workload
 * @param {import('../scripts/find-redis.mjs').FoundServer} redis
 * @param {import('./workloads/index.mjs').Effort} effort
 * @param {readonly string[]} nodeOptions
 */
async function run(workload, redis, effort, nodeOptions) {
  /** @type {import('../scripts/redis-server.mjs').RedisServer[]} */
  const servers = []
  const startServer = async () => {
    const server = await startRedis({ redis })
    servers.push(server)
    return server
  }
  /** @type {Worker[]} */
  const started = []
  /** @param {readonly object[]} setups */
  const startWorkers = async (setups) => {
    const workers = setups.map(() => new Worker(nodeOptions))
    started.push(...workers)
    await Promise.all(workers.map((worker, i) => worker.call('start', { workload: workload.name, setup: setups[i] })))
    return workers
  }
  try {
    return await workload.run({ server: await startServer(), effort, startServer, startWorkers })
  } finally {
    await stopAll(started)
    for (const server of servers) await server.stop()
  }
}

/** @returns {Options | undefined} */
function readOptions() {
  /** @type {Record<'quick' | 'tiny', { type: 'boolean' }> & Record<'only' | 'json' | 'chart' | 'profile', { type: 'string' }>} */
  const known = {
    quick: { type: 'boolean' },
    tiny: { type: 'boolean' },
    only: { type: 'string' },
    json: { type: 'string' },
    chart: { type: 'string' },
    profile: { type: 'string' },
  }
  try {
    const { quick, tiny, only, json, chart, profile } = parseArgs({ options: known }).values
    const names = only?.split(',') ?? workloads.map(({ name }) => name)
    const chosen = workloads.filter(({ name }) => names.includes(name))
    if (chosen.length !== names.length) return undefined
    const nodeOptions = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
    return { effort: tiny ? 'tiny' : quick ? 'quick' : 'full', chosen, json, chart, nodeOptions }
  } catch (error) {
    console.error(/** @type {Error} */ (error).message)
    return undefined
  }
}

/** What is measured is dist/, which `npm run bench` has just built. */
function lookAtBuild() {
  const built = new URL('../dist/main.cjs', import.meta.url)
  if (!existsSync(built)) throw new Error('there is no dist/: npm run bench builds it')
  const src = fileURLToPath(new URL('../src', import.meta.url))
  const builtMs = statSync(built).mtimeMs
  const newer = readdirSync(src, { recursive: true, encoding: 'utf8' }).some((file) => statSync(join(src, file)).mtimeMs > builtMs)
  if (newer) console.error('src/ is newer than dist/, which is what is measured: npm run bench builds it anew')
}
