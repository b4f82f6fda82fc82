// @ts-check
/** What the system says of a process. */
import { readFileSync } from 'node:fs'

/**
 * `gone` includes a process that has ended and whose parent has not yet asked how: it does nothing any more. Where the system has no
 * `/proc`, a process that stands still counts as running.
 *
 * @param {number} pid
 * @returns {'running' | 'stopped' | 'gone'}
 */
export function processState(pid) {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is there, and another user's.
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH') return 'gone'
  }
  try {
    // The name of the program, in parentheses, may itself have spaces and parentheses.
    const state = /^\d+ \(.*\) (\w) /s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? ''
    return 'ZX'.includes(state) ? 'gone' : 'Tt'.includes(state) ? 'stopped' : 'running'
  } catch {
    return process.platform === 'linux' ? 'gone' : 'running'
  }
}
