// @ts-check
/** What is measured: one file each. */
import * as commands from './commands.mjs'
import * as handOver from './hand-over.mjs'
import * as idleWaiters from './idle-waiters.mjs'
import * as imports from './import.mjs'
import * as latency from './latency.mjs'
import * as manyProcesses from './many-processes.mjs'
import * as memory from './memory.mjs'
import * as oneProcess from './one-process.mjs'
import * as quorum from './quorum.mjs'
import * as scale from './scale.mjs'
import * as semaphore from './semaphore.mjs'
import * as throughput from './throughput.mjs'

/** @typedef {'full' | 'quick' | 'tiny'} Effort how much is measured; `tiny` only shows that it runs */

/**
 * @typedef {object} Bench what a workload is given
 * @property {import('../../scripts/redis-server.mjs').RedisServer} server of its own, and empty
 * @property {Effort} effort
 * @property {() => Promise<import('../../scripts/redis-server.mjs').RedisServer>} startServer another one; ends with the workload at the latest
 * @property {(setups: readonly object[]) => Promise<import('../harness/workers.mjs').Worker[]>} startWorkers one for each setup. Those
 *   that the workload does not stop end with it
 */

/**
 * @typedef {object} Result
 * @property {import('../harness/table.mjs').Table[]} tables
 * @property {import('../harness/table.mjs').Figure[]} figures
 * @property {readonly string[]} [notes] who is left out, and why
 * @property {object} numbers for a file, with units in the names
 */

/**
 * @typedef {object} Workload
 * @property {string} name as in `--only`
 * @property {string} title
 * @property {(bench: Bench) => Promise<Result>} run in the parent: plays the workers, and makes something of what they measured
 * @property {(setup: any) => Promise<Record<string, (argument: any) => unknown>>} makeWorker in a worker: functions that the parent
 *   calls; `close` is called at the end
 */

/** @type {readonly Workload[]} */
export const workloads = [
  latency,
  throughput,
  oneProcess,
  manyProcesses,
  semaphore,
  commands,
  handOver,
  idleWaiters,
  quorum,
  scale,
  memory,
  imports,
]
