// @ts-check
/** This library without handing over within a process: each grant goes through the server. It shows what handing over locally brings. */
import { createLocksmith } from '../../dist/index.mjs'
import { locksmithLocker } from './locksmith-locker.mjs'

/** @param {string} url */
function open(url) {
  // Not yet in the types: a version that does not know it refuses it.
  const options = /** @type {import('../../dist/index.mjs').LocksmithOptions} */ ({ url, handOverLimit: 0 })
  return createLocksmith(options)
}

/** @param {string} url */
export async function connect(url) {
  return locksmithLocker(open(url))
}

/** @returns {Promise<string | undefined>} why it can't be measured */
export async function objection() {
  try {
    // Connects at its first use only.
    await open('redis://127.0.0.1').close()
    return undefined
  } catch {
    return 'this version has no option handOverLimit'
  }
}
