// @ts-check
/** redis-semaphore: a mutex, one on several servers, and a semaphore. It asks again every 10 ms; a lease of 10 s is renewed. */
import Redis from 'ioredis'
import { Mutex, RedlockMutex, Semaphore } from 'redis-semaphore'

const TUNED = { retryInterval: 2, acquireTimeout: 600_000 }

/**
 * @param {string} url
 * @param {object} [settings]
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function connect(url, settings = {}) {
  const client = new Redis(url)
  return {
    acquire: (name, { ttlMs } = {}) => taken(new Mutex(client, name, ttlMs === undefined ? settings : { ...settings, lockTimeout: ttlMs })),
    acquirePermit: (name, limit) => taken(new Semaphore(client, name, limit, settings)),
    async close() {
      client.disconnect()
    },
  }
}

/**
 * Asking again sooner, as long as it takes.
 *
 * @param {string} url
 */
export function connectTuned(url) {
  return connect(url, TUNED)
}

/**
 * On several independent servers.
 *
 * @param {readonly string[]} urls
 * @param {object} [settings]
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function connectQuorum(urls, settings = {}) {
  const clients = urls.map((url) => new Redis(url))
  return {
    acquire: (name) => taken(new RedlockMutex(clients, name, settings)),
    async close() {
      for (const client of clients) client.disconnect()
    },
  }
}

/** @param {readonly string[]} urls */
export function connectQuorumTuned(urls) {
  return connectQuorum(urls, TUNED)
}

/** @param {any} lock */
async function taken(lock) {
  await lock.acquire()
  return { release: () => lock.release() }
}
