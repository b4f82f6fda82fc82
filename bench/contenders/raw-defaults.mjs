// @ts-check
/** The same two commands with the client library's own settings, for comparison: its time limit for each command costs something. */
import { createClient } from '@redis/client'
import { rawLocker } from './raw-locker.mjs'

/** @param {string} url */
export function connect(url) {
  const client = createClient({ url })
  client.on('error', () => {})
  return rawLocker(client)
}
