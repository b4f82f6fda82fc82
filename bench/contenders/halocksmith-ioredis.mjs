// @ts-check
/** This library on a client that the program has anyway: an ioredis with its defaults. */
import Redis from 'ioredis'
import { createLocksmith } from '../../dist/index.mjs'
import { locksmithLocker } from './locksmith-locker.mjs'

/** @param {string} url */
export async function connect(url) {
  const client = new Redis(url)
  return locksmithLocker(createLocksmith({ client }), () => client.disconnect())
}
