// @ts-check
/** redis-semaphore, a mutex and a semaphore. It asks again every 10 ms; a lease of 10 s is renewed. */
import Redis from 'ioredis'
import { Mutex, Semaphore } from 'redis-semaphore'

/**
 * @param {string} url
 * @param {object} [settings]
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function connect(url, settings = {}) {
  const client = new Redis(url)
  /** @param {any} lock */
  const taken = async (lock) => {
    await lock.acquire()
    return { release: () => lock.release() }
  }
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
  return connect(url, { retryInterval: 2, acquireTimeout: 600_000 })
}
