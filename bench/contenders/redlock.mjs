// @ts-check
/** redlock 5 beta, the most used of them, on one server. It asks again every 200 to 300 ms, ten times, and then gives up with an error. */
import Redis from 'ioredis'
import Redlock from 'redlock'

const TTL_MS = 30_000

/**
 * @param {string} url
 * @param {object} [settings]
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function connect(url, settings = {}) {
  const client = new Redis(url)
  const redlock = new Redlock([client], settings)
  // Without a listener, a busy lock would end the process.
  redlock.on('error', () => {})
  return {
    acquire: (name, { ttlMs = TTL_MS } = {}) => redlock.acquire([name], ttlMs),
    async close() {
      client.disconnect()
    },
  }
}

/**
 * With what helps it where many want a name: asking again soon, as long as it takes.
 *
 * @param {string} url
 */
export function connectTuned(url) {
  return connect(url, { retryCount: -1, retryDelay: 3, retryJitter: 2 })
}
