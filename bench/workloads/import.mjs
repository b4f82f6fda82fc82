// @ts-check
/** How much longer a process takes to start that loads a library. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { BENCH_FOLDER, missingPackages } from '../harness/packages.mjs'
import { interleave } from '../harness/rounds.mjs'
import { median } from '../harness/stats.mjs'

export const name = 'import'
export const title = 'Import time'

const MAIN = fileURLToPath(new URL('../../dist/main.cjs', import.meta.url))
const BARE = { id: 'bare', title: 'bare Node', packages: [], code: '' }
/** Each of the others with the client that it can't do without; we load ours when it is first used. */
const CONTENDERS = [
  { id: 'halocksmith', title: 'halocksmith', packages: [], code: `require(${JSON.stringify(MAIN)})` },
  {
    id: 'halocksmith-connected',
    title: 'halocksmith and @redis/client, which it loads at its first use',
    packages: [],
    code: `require(${JSON.stringify(MAIN)}); require('@redis/client')`,
  },
  ...['redlock', 'redis-semaphore', 'redlock-universal'].map((id) => requiring(id, 'ioredis')),
  { id: '@verrou/core', title: '@verrou/core and ioredis', packages: ['@verrou/core', 'ioredis'], code: verrou() },
  requiring('simple-redis-mutex', 'redis'),
]
const EFFORT = { full: { rounds: 15 }, quick: { rounds: 3 }, tiny: { rounds: 1 } }

/**
 * @param {string} id
 * @param {string} client
 */
function requiring(id, client) {
  return { id, title: `${id} and ${client}`, packages: [id, client], code: `require('${id}'); require('${client}')` }
}

/** It can be imported only. */
function verrou() {
  return `require('ioredis'); Promise.all([import('@verrou/core'), import('@verrou/core/drivers/redis')])`
}

/** @param {import('./index.mjs').Bench} bench */
export async function run({ effort }) {
  const { rounds } = EFFORT[effort]
  const present = CONTENDERS.filter(({ packages }) => missingPackages(packages).length === 0)
  const absent = CONTENDERS.filter((one) => !present.includes(one))
  const programs = [BARE, ...present]
  // What is read for the first time comes from the disk.
  await interleave(effort === 'tiny' ? 0 : 1, programs, start)
  const tookMs = await interleave(rounds, programs, start)
  const bareMs = tookMs[0] ?? []
  const contenders = programs.map(({ id, title: who }, i) => {
    const roundsMs = tookMs[i] ?? []
    const aboveBareMs = median(roundsMs.map((ms, round) => ms - /** @type {number} */ (bareMs[round])))
    return { id, title: who, totalMs: median(roundsMs), aboveBareMs, rounds: roundsMs }
  })
  const rows = contenders.map(({ title: who, totalMs, aboveBareMs }) => [who, aboveBareMs, totalMs])
  const explained = `From the start of a process to its end, ${rounds} times each, in turns.`
  return {
    tables: [{ title: explained, columns: ['', 'ms more than bare Node', 'ms'], rows }],
    figures: [],
    notes: absent.map((one) => `Left out: ${one.title} (not installed).`),
    numbers: { rounds, contenders },
  }
}

/** @param {{ code: string }} program */
async function start({ code }) {
  const startedMs = performance.now()
  await promisify(execFile)(process.execPath, ['-e', code], { cwd: BENCH_FOLDER })
  return performance.now() - startedMs
}

/** Nothing is measured in workers. */
export async function makeWorker() {
  return {}
}
