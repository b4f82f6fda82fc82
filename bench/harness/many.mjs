// @ts-check
/** Many locks held by one process, which need no renewal while something is measured. */

/** Nobody is to renew or lose one meanwhile: a third of it is longer than any measurement. */
const TTL_MS = 3_600_000
/** So many are asked for at once. */
const AT_ONCE = 500

/**
 * @param {import('../contenders/index.mjs').Locker} locker
 * @param {string} prefix
 * @param {number} locks
 * @returns {Promise<import('../contenders/index.mjs').Held[]>}
 */
export async function acquireMany(locker, prefix, locks) {
  /** @type {import('../contenders/index.mjs').Held[]} */
  const held = []
  while (held.length < locks) {
    const batch = Math.min(AT_ONCE, locks - held.length)
    const names = Array.from({ length: batch }, (_, i) => nameOf(prefix, held.length + i))
    held.push(...(await Promise.all(names.map((name) => locker.acquire(name, { ttlMs: TTL_MS })))))
  }
  return held
}

/** @param {readonly import('../contenders/index.mjs').Held[]} held */
export async function releaseMany(held) {
  for (let from = 0; from < held.length; from += AT_ONCE) {
    await Promise.all(held.slice(from, from + AT_ONCE).map((one) => one.release()))
  }
}

/**
 * As long for each, so that each takes as much memory.
 *
 * @param {string} prefix
 * @param {number} index
 */
export function nameOf(prefix, index) {
  return `${prefix}:${String(index).padStart(6, '0')}`
}
