// @ts-check
/** Decides where the locks of the demo are: a given Redis, one that is started for it, or the memory of this process. */
import { randomBytes } from 'node:crypto'
import { createClient } from '@redis/client'
import { createLocksmith } from 'halocksmith'
import { MemoryStore } from 'halocksmith/memory'
import { findRedisServer, startRedis } from '../scripts/redis-server.mjs'
import { LOCK } from './work.mjs'

/** Short, so that the wait for the lease of a killed worker can be watched without getting bored. */
export const LEASE_MS = 2_000

/**
 * @typedef {object} LockServer
 * @property {boolean} processes whether the workers can be processes
 * @property {string} what which it is, and why, for people
 * @property {import('halocksmith').LocksmithOptions} options with which a locksmith uses it
 */

/**
 * @param {import('./settings.mjs').Settings} settings
 * @param {(line: string) => void} say told what is being done when it may take a while
 * @param {import('./story.mjs').Undo} undo
 * @returns {Promise<LockServer>}
 * @throws Error when the given Redis can't be used
 */
export async function openLockServer({ memory, url }, say, undo) {
  if (memory) return inMemory('you asked for that')
  if (url !== undefined) return given(url, undo)
  const found = await findRedisServer({ install: 'quiet', log: say })
  if (found.path === null) return inMemory(found.reason)
  const starting = startRedis({ redis: found })
  // Noted before it has started: it may be interrupted in the middle.
  undo.push(() =>
    starting.then(
      (redis) => redis.stop(),
      () => {},
    ),
  )
  try {
    const redis = await starting
    const what = `${found.version}, ${found.how}, started here on port ${redis.port}`
    return { processes: true, what, options: { url: redis.url, ttlMs: LEASE_MS } }
  } catch (error) {
    return inMemory(`${found.version} did not start: ${/** @type {Error} */ (error).message}`)
  }
}

/**
 * A Redis that others may be using: all keys get a prefix of their own, below the one that access rules for this library allow.
 *
 * @param {string} url
 * @param {import('./story.mjs').Undo} undo
 * @returns {Promise<LockServer>}
 */
async function given(url, undo) {
  const prefix = `__halocksmith:demo-${randomBytes(6).toString('hex')}:`
  const options = { url, prefix, ttlMs: LEASE_MS }
  /** @type {import('halocksmith').Locksmith | undefined} */
  let probe
  try {
    probe = createLocksmith(options)
    await probe.query({ name: LOCK })
  } catch (error) {
    throw new Error(`REDIS_URL can't be used: ${/** @type {Error} */ (error).message}`, { cause: error })
  } finally {
    await probe?.close()
  }
  undo.push(() => removeKeys(url, prefix))
  const what = `the Redis at ${new URL(url).host}, because REDIS_URL is set`
  return { processes: true, what, options }
}

/**
 * @param {string} why
 * @returns {LockServer}
 */
function inMemory(why) {
  const what = `none, the memory store does its work: ${why}`
  return { processes: false, what, options: { store: new MemoryStore(), ttlMs: LEASE_MS } }
}

/**
 * What is left in Redis by then is the last token of the lock, which would stay there for an hour.
 *
 * @param {string} url
 * @param {string} prefix
 */
async function removeKeys(url, prefix) {
  const client = createClient({ url, socket: { reconnectStrategy: false } })
  client.on('error', () => {})
  await client.connect()
  try {
    for await (const keys of client.scanIterator({ MATCH: `${prefix}*`, COUNT: 1_000 })) {
      if (keys.length > 0) await client.unlink(keys)
    }
  } finally {
    client.destroy()
  }
}
