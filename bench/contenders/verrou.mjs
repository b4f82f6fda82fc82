// @ts-check
/** @verrou/core with its store for Redis. It asks again every 250 ms, for as long as it takes; its leases of 30 s are not renewed. */
import { Verrou } from '@verrou/core'
import { redisStore } from '@verrou/core/drivers/redis'
import Redis from 'ioredis'

/**
 * @param {string} url
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function connect(url) {
  const connection = new Redis(url)
  const verrou = new Verrou({ default: 'redis', stores: { redis: { driver: redisStore({ connection }) } } })
  return {
    async acquire(name, { ttlMs } = {}) {
      const lock = verrou.createLock(name, ...(ttlMs === undefined ? [] : [ttlMs]))
      if (!(await lock.acquire())) throw new Error(`${name} is busy`)
      return lock
    },
    async close() {
      connection.disconnect()
    },
  }
}
