// @ts-check
/** redlock-universal, on the clients that we are on too. It asks again every 100 ms, three times, and then gives up with an error. */
import { createLock, IoredisAdapter, NodeRedisAdapter } from 'redlock-universal'

/**
 * @param {object} adapter
 * @param {() => void} disconnect
 * @returns {import('./index.mjs').Locker}
 */
function locker(adapter, disconnect) {
  // What it logs of busy locks would cost it time.
  const silent = () => {}
  const logger = { debug: silent, info: silent, warn: silent, error: silent }
  return {
    async acquire(name, { ttlMs } = {}) {
      const lock = createLock({ adapter, key: name, logger, ...(ttlMs === undefined ? {} : { ttl: ttlMs }) })
      const handle = await lock.acquire()
      return { release: () => lock.release(handle) }
    },
    async close() {
      disconnect()
    },
  }
}

/** @param {string} url */
export async function connectNodeRedis(url) {
  const { createClient } = await import('redis')
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  return locker(new NodeRedisAdapter(client), () => client.destroy())
}

/** @param {string} url */
export async function connectIoredis(url) {
  const { default: Redis } = await import('ioredis')
  const client = new Redis(url)
  return locker(new IoredisAdapter(client), () => client.disconnect())
}
