// @ts-check
/**
 * Keeps processes on one core. Where a cycle is a few tens of microseconds, the system's choice decides more than the code: on one core it
 * takes 45 µs, on two cores, each of which sleeps while the other works, 110 µs or more; and it chooses anew every few seconds.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const CORE = '0'

/**
 * @param {readonly number[]} pids with all their threads
 * @returns {Promise<string[]>} notes: empty when it was done
 */
export async function keepOnOneCore(pids) {
  try {
    for (const pid of pids) await promisify(execFile)('taskset', ['--all-tasks', '--cpu-list', '--pid', CORE, String(pid)])
    return []
  } catch (error) {
    return [
      `client and server are not kept on one core, so that these ratios say little: ${/** @type {Error} */ (error).message.split('\n')[0]}`,
    ]
  }
}
