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
  const client = require(how.module)[how.make](how.options)
  // As its owner must: without it a lost connection ends the process.
  client.on('error', () => {})
  await client.connect()
  return { client, closeClient: async () => void (await client.destroy()) }
}
