// @ts-check
// A process of the benchmark. It is told by its parent (workers.mjs) which workload it works for, and then which functions of that
// workload's worker to call; what they resolve to goes back.

import { workloads } from '../workloads/index.mjs'

/** @typedef {{ call: number, method: string, argument: any }} Call */

/** @type {Record<string, (argument: any) => unknown>} */
let worker = {}

// However the parent ends.
process.on('disconnect', () => process.exit())

process.on('message', async (/** @type {Call} */ { call, method, argument }) => {
  try {
    const result = method === 'start' ? await start(argument) : await worker[method]?.(argument)
    answer({ call, result })
  } catch (error) {
    answer({ call, error: error instanceof Error ? error.stack : String(error) })
  }
})

/** @param {object} message */
function answer(message) {
  // A parent that has gone does not want to know any more.
  process.send?.(message, undefined, undefined, () => {})
}

/** @param {{ workload: string, setup: any }} argument */
async function start({ workload, setup }) {
  const found = workloads.find(({ name }) => name === workload)
  if (!found) throw new Error(`there is no workload ${workload}`)
  worker = await found.makeWorker(setup)
}
