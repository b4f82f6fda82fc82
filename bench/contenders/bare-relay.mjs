// @ts-check
/** The bare round trip: a script that deletes a key and publishes, sent by one process, and the message heard by the next. */
import { setTimeout as delay } from 'node:timers/promises'
import { sharedNowMs } from '../harness/clock.mjs'
import { rawClient } from './raw.mjs'

/**
 * @typedef {object} Turn
 * @property {number} workMs how long each keeps the message before it is passed on
 * @property {number} endMs by the clock that all processes share: nobody passes it on afterwards. It also tells one turn from another
 */

const PASS_ON = `if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end return redis.call('publish', KEYS[2], ARGV[2])`
/** After the end, the last message may still be on its way. */
const LINGER_MS = 50

/**
 * Passes a message around all processes, and does at each what a lock does: a command to ask, the work, a script to pass on. So the
 * server and the processes have pauses as long as with a lock.
 *
 * @param {string} url
 * @param {number} index of this process
 * @param {number} processes
 */
export async function makeRelay(url, index, processes) {
  const client = rawClient(url)
  await client.connect()
  const sha = String(await client.sendCommand(['SCRIPT', 'LOAD', PASS_ON]))
  const key = `relay:key:${index}`
  let askedMs = 0
  /** @type {{ endMs: number, notes: number[] }} */
  let now = { endMs: 0, notes: [] }

  const ask = async () => {
    askedMs = sharedNowMs()
    await client.sendCommand(['SET', key, `${index}`, 'PX', '30000'])
  }
  const enter = (/** @type {number} */ endMs) => {
    if (endMs > now.endMs) now = { endMs, notes: [] }
  }
  const visit = async (/** @type {number} */ enteredMs, /** @type {string} */ message) => {
    const [endMs = 0, workMs = 0, own = 0] = message.split(' ').map(Number)
    // This process may not have been told of the turn yet; a message of an earlier one is late.
    enter(endMs)
    if (endMs < now.endMs) return
    if (workMs > 0) await delay(workMs)
    if (endMs < now.endMs) return
    const leavingMs = sharedNowMs()
    now.notes.push(0, askedMs, enteredMs, leavingMs, 0)
    if (leavingMs > endMs) return
    const next = own === 1 ? index : (index + 1) % processes
    await client.sendCommand(['EVALSHA', sha, '2', key, `relay:${next}`, `${index}`, message])
    await ask()
  }
  /** @param {Turn & { first: boolean, own: boolean }} turn */
  const take = async ({ workMs, endMs, first, own }) => {
    enter(endMs)
    await ask()
    if (first) await visit(sharedNowMs(), `${endMs} ${workMs} ${own ? 1 : 0}`)
    await delay(Math.max(0, endMs - sharedNowMs()) + LINGER_MS)
    return { notes: Float64Array.from(now.notes) }
  }

  await client.subscribe(`relay:${index}`, (message) => void visit(sharedNowMs(), message))
  return {
    /** @param {number} durationMs by itself: it passes the message to itself */
    warmUp: (durationMs) => take({ workMs: 0, endMs: sharedNowMs() + durationMs, first: true, own: true }),
    /** @param {Turn} turn */
    handOver: (turn) => take({ ...turn, first: index === 0, own: false }),
    close: () => client.destroy(),
  }
}
