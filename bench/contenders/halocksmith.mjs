// @ts-check
/** This library as a program uses it, with its defaults: leases of 30 s, renewed. */
import { createLocksmith } from 'halocksmith'

export const title = 'halocksmith'

/** @param {string} url */
export async function connect(url) {
  const locksmith = createLocksmith({ url })
  return {
    acquire: (/** @type {string} */ name) => locksmith.acquire(name),
    waiting: async (/** @type {string} */ name) => (await locksmith.query({ name })).pending.length,
    close: () => locksmith.close(),
  }
}
