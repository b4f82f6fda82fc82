// @ts-check
/** What can be measured: one file each. A library is loaded only in the processes that measure it. */
import { missingPackages } from '../harness/packages.mjs'

/**
 * @typedef {object} Held
 * @property {() => Promise<unknown>} release
 * @property {number} [fencingToken] where there is one, it is checked that it grows
 */

/**
 * @typedef {object} Locker
 * @property {(name: string, options?: { ttlMs?: number }) => Promise<Held>} acquire
 * @property {(name: string, limit: number) => Promise<Held>} [acquirePermit] of a semaphore
 * @property {(name: string) => Promise<number>} [waiting] how many claims the server knows to wait, where it can tell
 * @property {() => Promise<void>} [giveUp] makes those fail that wait; needed where they would wait for long after everything is over
 * @property {() => Promise<void>} close
 */

/**
 * @typedef {object} Entry
 * @property {string} title
 * @property {'node-redis' | 'ioredis'} client only what is on the same client is compared
 * @property {'raw' | 'ours' | 'theirs'} kind
 * @property {readonly string[]} packages that this folder brings
 * @property {() => Promise<(url: string) => Promise<Locker>>} load
 * @property {() => Promise<(urls: readonly string[]) => Promise<Locker>>} [loadQuorum] on several independent servers
 * @property {() => Promise<string | undefined>} [objection] why it can't be measured although its packages are there
 */

/** @typedef {Omit<Entry, 'load' | 'loadQuorum' | 'objection'> & { id: string }} Contender what is told of one, with the numbers too */

/** @type {Record<string, Entry>} */
const ENTRIES = {
  raw: onNodeRedis('raw', 'raw limit, node-redis', async () => (await import('./raw.mjs')).connect),
  'raw-defaults': onNodeRedis('raw', "raw, node-redis' default settings", async () => (await import('./raw-defaults.mjs')).connect),
  halocksmith: {
    ...onNodeRedis('ours', 'halocksmith', async () => (await import('./halocksmith.mjs')).connect),
    loadQuorum: async () => (await import('./halocksmith.mjs')).connectQuorum,
  },
  'halocksmith-remote': {
    ...onNodeRedis('ours', 'halocksmith, no local hand-over', async () => (await import('./halocksmith-remote.mjs')).connect),
    objection: async () => (await import('./halocksmith-remote.mjs')).objection(),
  },
  'redlock-universal-node-redis': {
    ...onNodeRedis('theirs', 'redlock-universal, node-redis', async () => (await import('./redlock-universal.mjs')).connectNodeRedis),
    packages: ['redlock-universal', 'redis'],
  },
  'simple-redis-mutex': {
    ...onNodeRedis('theirs', 'simple-redis-mutex', async () => (await import('./simple-redis-mutex.mjs')).connect),
    packages: ['simple-redis-mutex', 'redis'],
  },
  'raw-ioredis': onIoredis('raw', 'raw limit, ioredis', [], async () => (await import('./raw-ioredis.mjs')).connect),
  'raw-ioredis-pipelining': onIoredis(
    'raw',
    'raw limit, ioredis pipelined',
    [],
    async () => (await import('./raw-ioredis.mjs')).connectPipelining,
  ),
  'halocksmith-ioredis': onIoredis('ours', 'halocksmith, ioredis', [], async () => (await import('./halocksmith-ioredis.mjs')).connect),
  redlock: {
    ...onIoredis('theirs', 'redlock', ['redlock'], async () => (await import('./redlock.mjs')).connect),
    loadQuorum: async () => (await import('./redlock.mjs')).connectQuorum,
  },
  'redlock-tuned': {
    ...onIoredis('theirs', 'redlock, 3-5 ms polling', ['redlock'], async () => (await import('./redlock.mjs')).connectTuned),
    loadQuorum: async () => (await import('./redlock.mjs')).connectQuorumTuned,
  },
  'redis-semaphore': {
    ...onIoredis('theirs', 'redis-semaphore', ['redis-semaphore'], async () => (await import('./redis-semaphore.mjs')).connect),
    loadQuorum: async () => (await import('./redis-semaphore.mjs')).connectQuorum,
  },
  'redis-semaphore-tuned': {
    ...onIoredis(
      'theirs',
      'redis-semaphore, 2 ms polling',
      ['redis-semaphore'],
      async () => (await import('./redis-semaphore.mjs')).connectTuned,
    ),
    loadQuorum: async () => (await import('./redis-semaphore.mjs')).connectQuorumTuned,
  },
  'redlock-universal': onIoredis(
    'theirs',
    'redlock-universal, ioredis',
    ['redlock-universal'],
    async () => (await import('./redlock-universal.mjs')).connectIoredis,
  ),
  verrou: onIoredis('theirs', '@verrou/core', ['@verrou/core'], async () => (await import('./verrou.mjs')).connect),
}

/**
 * @param {Entry['kind']} kind
 * @param {string} title
 * @param {Entry['load']} load
 * @returns {Entry}
 */
function onNodeRedis(kind, title, load) {
  return { kind, title, client: 'node-redis', packages: [], load }
}

/**
 * @param {Entry['kind']} kind
 * @param {string} title
 * @param {readonly string[]} packages beside the client
 * @param {Entry['load']} load
 * @returns {Entry}
 */
function onIoredis(kind, title, packages, load) {
  return { kind, title, client: 'ioredis', packages: [...packages, 'ioredis'], load }
}

/**
 * @param {string} id
 * @returns {Entry}
 */
function entry(id) {
  const found = ENTRIES[id]
  if (!found) throw new Error(`there is no contender ${id}`)
  return found
}

/**
 * In a process that measures it.
 *
 * @param {string} id
 * @param {string} url
 * @returns {Promise<Locker>}
 */
export async function connect(id, url) {
  const open = await entry(id).load()
  return open(url)
}

/**
 * The same on several independent servers, a majority of which decides.
 *
 * @param {string} id
 * @param {readonly string[]} urls
 * @returns {Promise<Locker>}
 */
export async function connectQuorum(id, urls) {
  const { loadQuorum } = entry(id)
  if (!loadQuorum) throw new Error(`${id} locks on one server only`)
  const open = await loadQuorum()
  return open(urls)
}

/**
 * Those of them that can be measured here.
 *
 * @param {readonly string[]} ids
 * @returns {Promise<{ present: Contender[], notes: string[] }>} `notes`: who is left out, and why
 */
export async function contenders(ids) {
  /** @type {Contender[]} */
  const present = []
  /** @type {string[]} */
  const notes = []
  for (const id of ids) {
    const { load: _, loadQuorum: __, objection, ...rest } = entry(id)
    const missing = missingPackages(rest.packages)
    const why = missing.length > 0 ? `not installed: ${missing.join(', ')}` : await objection?.()
    if (why === undefined) present.push({ id, ...rest })
    else notes.push(`Left out: ${rest.title} (${why}).`)
  }
  return { present, notes }
}
