// @ts-check
/** This library as a program uses it, with its defaults: leases of 30 s, renewed; on a connection of its own. */
// By its path: by its name this folder, which is a package of its own, would not find it.
import { createLocksmith } from '../../dist/index.mjs'
import { locksmithLocker } from './locksmith-locker.mjs'

/** @param {string} url */
export async function connect(url) {
  return locksmithLocker(createLocksmith({ url }))
}

/**
 * On several independent servers.
 *
 * @param {readonly string[]} urls
 */
export async function connectQuorum(urls) {
  return locksmithLocker(createLocksmith({ nodes: [...urls] }))
}
