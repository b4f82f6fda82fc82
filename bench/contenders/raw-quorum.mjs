// @ts-check
/** What nothing on several servers can be without: one command to all of them at once, and the answer of the slower of a majority. */
import { rawClient } from './raw.mjs'

const TAKE = `if redis.call('set', KEYS[1], ARGV[1], 'nx', 'px', ARGV[2]) then return 1 else return 0 end`
const GIVE = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end`
const TTL_MS = '30000'
/** Sent along, so that the command is about as long as ours. */
const PADDING = 'x'.repeat(60)

/** @param {readonly string[]} urls */
export async function connectRawQuorum(urls) {
  const clients = urls.map(rawClient)
  await Promise.all(clients.map((client) => client.connect()))
  const majority = Math.floor(clients.length / 2) + 1
  const load = async (/** @type {string} */ script) => {
    const loaded = await Promise.all(clients.map((client) => client.sendCommand(['SCRIPT', 'LOAD', script])))
    return String(loaded[0])
  }
  const take = await load(TAKE)
  const give = await load(GIVE)

  /** @type {(args: string[]) => Promise<void>} */
  const ask = (args) =>
    new Promise((resolve, reject) => {
      let answered = 0
      const answer = () => {
        if (++answered === majority) resolve()
      }
      for (const client of clients) client.sendCommand(args).then(answer, reject)
    })
  let count = 0
  return {
    ping: () => ask(['PING']),
    /** @param {string} name */
    async acquire(name) {
      const key = `raw:${name}`
      const value = `${process.pid}.${++count}`
      await ask(['EVALSHA', take, '1', key, value, TTL_MS, PADDING])
      return { release: () => ask(['EVALSHA', give, '1', key, value, PADDING]) }
    },
    async close() {
      for (const client of clients) client.destroy()
    },
  }
}
