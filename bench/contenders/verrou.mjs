// @ts-check
/** @verrou/core with its store for Redis. It asks again every 250 ms, for as long as it takes; its leases of 30 s are not renewed. */
import { setTimeout as delay } from 'node:timers/promises'
import { Verrou } from '@verrou/core'
import { redisStore } from '@verrou/core/drivers/redis'
import Redis from 'ioredis'

/** Longer than the time between two attempts. */
const GIVE_UP_MS = 300

/**
 * @param {string} url
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function connect(url) {
  const connection = new Redis(url)
  let givingUp = false
  const factory = () => {
    const store = redisStore({ connection }).factory()
    const { save } = store
    store.save = async (/** @type {unknown[]} */ ...args) => {
      if (givingUp) throw new Error('given up')
      return save.apply(store, args)
    }
    return store
  }
  const verrou = new Verrou({ default: 'redis', stores: { redis: { driver: { factory } } } })
  return {
    async acquire(name, { ttlMs } = {}) {
      const lock = verrou.createLock(name, ...(ttlMs === undefined ? [] : [ttlMs]))
      if (!(await lock.acquire())) throw new Error(`${name} is busy`)
      return lock
    },
    // Those who ask again at the same moment get in one at a time, so that it can take them minutes.
    async giveUp() {
      givingUp = true
      await delay(GIVE_UP_MS)
      givingUp = false
    },
    async close() {
      connection.disconnect()
    },
  }
}
