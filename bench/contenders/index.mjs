// @ts-check
/** What can be measured: one file each. A library is loaded only in the processes that measure it. */

/**
 * @typedef {object} Held
 * @property {() => Promise<unknown>} release
 * @property {number} [fencingToken] where there is one, it is checked that it grows
 */

/**
 * @typedef {object} Locker
 * @property {(name: string) => Promise<Held>} acquire
 * @property {(name: string) => Promise<number>} [waiting] how many claims the server knows to wait, where it can tell
 * @property {() => Promise<void>} close
 */

/**
 * @typedef {object} Contender
 * @property {string} title
 * @property {(url: string) => Promise<Locker>} connect
 */

/** @type {Record<string, () => Promise<Contender>>} */
const CONTENDERS = {
  raw: () => import('./raw.mjs'),
  'raw-defaults': () => import('./raw-defaults.mjs'),
  halocksmith: () => import('./halocksmith.mjs'),
}

/**
 * @param {string} id
 * @returns {Promise<Contender>}
 */
export async function contender(id) {
  const load = CONTENDERS[id]
  if (!load) throw new Error(`there is no contender ${id}`)
  return load()
}
