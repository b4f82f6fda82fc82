// @ts-check
/** A worker as a process of its own: takes orders from the demo and reports to it. */
import { createLocksmith } from 'halocksmith'
import { Counter } from './counter.mjs'
import { work } from './work.mjs'

/**
 * @typedef {object} Setup
 * @property {number} worker
 * @property {string} folder where the number is
 * @property {import('halocksmith').LocksmithOptions} options
 */

/** Patience with a busy machine. */
const CONNECT_MS = 10_000

const goHome = new AbortController()
/** @type {import('halocksmith').Locksmith | undefined} */
let locksmith
/** What it is doing now. */
let task = Promise.resolve()

/** @param {Setup} setup */
async function prepare({ worker, folder, options }) {
  const own = createLocksmith({ ...options, name: `worker ${worker}` })
  locksmith = own
  const counter = new Counter(folder)
  // Connected now, so that all of them begin a round at the same moment. It may take its time where many processes start at once.
  await own.using(`worker ${worker}`, { waitMs: CONNECT_MS }, () => {})
  process.on('message', (message) => {
    const order = /** @type {import('./work.mjs').Order} */ (message)
    const { signal } = goHome
    task = work({ worker, order, counter, locksmith: own, signal, report: tell }).then(() => tell({ event: 'finished' }), fail)
  })
  tell({ event: 'ready' })
}

/** @param {Error} error */
function fail(error) {
  tell({ event: 'failed', message: error.message })
}

/** @param {object} report */
function tell(report) {
  if (process.connected) process.send?.(report)
}

process.once('message', (message) => {
  prepare(/** @type {Setup} */ (message)).catch(fail)
})

// A terminal sends Ctrl-C to all of its processes; the demo then lets its workers go itself.
process.on('SIGINT', () => {})

// That is by closing the channel, which also happens when the demo is killed.
process.on('disconnect', async () => {
  goHome.abort()
  await task
  await locksmith?.close().catch(() => {})
  process.exit()
})
