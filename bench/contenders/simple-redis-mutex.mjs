// @ts-check
/** simple-redis-mutex, which publishes each release to all processes; besides, it asks again every 10 s. Its leases are not renewed. */
import { createClient } from 'redis'
import { lock } from 'simple-redis-mutex'

/**
 * @param {string} url
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function connect(url) {
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  return {
    async acquire(name, { ttlMs } = {}) {
      const release = await lock(client, name, ttlMs === undefined ? {} : { timeout: ttlMs })
      return { release, fencingToken: release.fencingToken }
    },
    async close() {
      // An event that its own connection waits for: without it, that would keep the process.
      await client.close()
    },
  }
}
