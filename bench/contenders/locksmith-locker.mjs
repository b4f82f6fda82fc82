// @ts-check
/** A locksmith, however it reaches its server, as the workloads want it. */

/**
 * @param {import('../../dist/index.mjs').Locksmith} locksmith
 * @param {() => void} [disconnect] ends the client that was lent to the locksmith, which does not close it
 * @returns {import('./index.mjs').Locker}
 */
export function locksmithLocker(locksmith, disconnect = () => {}) {
  return {
    acquire: (name, options) => locksmith.acquire(name, options),
    acquirePermit: (name, limit) => locksmith.semaphore(name, limit).acquire(),
    waiting: async (name) => (await locksmith.query({ name })).pending.length,
    async close() {
      await locksmith.close()
      disconnect()
    },
  }
}
