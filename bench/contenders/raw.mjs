// @ts-check
/** The raw limit: the two commands without which there is no lock, on the same client library with the same settings as our own. */
import { createClient } from '@redis/client'
import { rawLocker } from './raw-locker.mjs'

/**
 * Speaks RESP 3 and has no time limit for commands, as our own client.
 *
 * @param {string} url
 */
export function rawClient(url) {
  const client = createClient({ url, RESP: 3, disableOfflineQueue: true, commandOptions: { timeout: 0 }, maintNotifications: 'disabled' })
  client.on('error', () => {})
  return client
}

/** @param {string} url */
export function connect(url) {
  return rawLocker(rawClient(url))
}
