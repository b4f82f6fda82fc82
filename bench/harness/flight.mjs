// @ts-check
/** Many uncontended cycles in flight at once, each on a name that nobody else wants. */

/** How many names each of those in flight uses in turn. */
const NAMES_EACH = 16

/**
 * @typedef {object} Flight
 * @property {number} cycles
 * @property {number} tookMs
 * @property {number} clientCpuMs
 * @property {Float64Array} durationsMs
 */

/**
 * In a worker.
 *
 * @param {import('../contenders/index.mjs').Locker} locker
 * @param {string} prefix of the names
 * @param {number} inFlight
 * @param {number} durationMs
 * @returns {Promise<Flight>}
 */
export async function fly(locker, prefix, inFlight, durationMs) {
  /** @type {number[]} */
  const durationsMs = []
  const cpuBefore = process.cpuUsage()
  const startedMs = performance.now()
  const endMs = startedMs + durationMs
  const one = async (/** @type {number} */ index) => {
    let askedMs = performance.now()
    for (let count = 0; askedMs < endMs; count++) {
      const held = await locker.acquire(`${prefix}-${index}-${count % NAMES_EACH}`)
      await held.release()
      const nowMs = performance.now()
      durationsMs.push(nowMs - askedMs)
      askedMs = nowMs
    }
  }
  await Promise.all(Array.from({ length: inFlight }, (_, index) => one(index)))
  const tookMs = performance.now() - startedMs
  const { user, system } = process.cpuUsage(cpuBefore)
  return { cycles: durationsMs.length, tookMs, clientCpuMs: (user + system) / 1_000, durationsMs: Float64Array.from(durationsMs) }
}
