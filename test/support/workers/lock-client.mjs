// @ts-check
/** The client of a caller, for a process that is told only in words how it connects. */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/**
 * @param {import('../contender.js').Source} source
 * @returns {Promise<{ client: any, closeClient: () => Promise<void> }>} no client: the locksmith connects by itself
 */
export async function lockClient({ client: how }) {
  if (how === undefined) return { client: undefined, closeClient: async () => {} }
  const make = require(how.module)[how.make]
  // A class connects by itself (ioredis), what a function makes does so when it is told (node-redis).
  const isClass = /^[A-Z]/.test(how.make)
  const client = isClass ? new make(...how.args) : make(...how.args)
  // As its owner must: without it a lost connection ends the process.
  client.on('error', () => {})
  if (isClass) await new Promise((resolve) => client.once('ready', resolve))
  else await client.connect()
  return { client, closeClient: async () => void (await (isClass ? client.disconnect() : client.destroy())) }
}
