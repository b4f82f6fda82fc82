// @ts-check
/** The smallest lock there is: it can't wait, renew or tell that it was lost. */
import { randomUUID } from 'node:crypto'

const RELEASE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end`
const TTL_MS = '30000'

/**
 * The part of a client that is used; what `createClient` returns is another type for each of its options.
 *
 * @typedef {object} Client
 * @property {() => Promise<unknown>} connect
 * @property {(args: string[]) => Promise<unknown>} sendCommand
 * @property {() => void} destroy
 */

/**
 * @param {Client} client not yet connected
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function rawLocker(client) {
  await client.connect()
  const sha = String(await client.sendCommand(['SCRIPT', 'LOAD', RELEASE]))
  const session = randomUUID()
  let count = 0
  return {
    async acquire(name) {
      const key = `raw:${name}`
      const value = `${session}.${++count}`
      if ((await client.sendCommand(['SET', key, value, 'NX', 'PX', TTL_MS])) !== 'OK') throw new Error(`${name} is busy`)
      return { release: () => client.sendCommand(['EVALSHA', sha, '1', key, value]) }
    },
    async close() {
      client.destroy()
    },
  }
}
