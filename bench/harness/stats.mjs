// @ts-check
/** What is made of many measurements. */

/**
 * The smallest value that at least the share `q` of all values does not exceed.
 *
 * @param {ArrayLike<number>} values at least one
 * @param {number} q 0.5 is the median of an odd number of values
 */
export function percentile(values, q) {
  const sorted = Float64Array.from(values).sort()
  return /** @type {number} */ (sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)])
}

/** @param {ArrayLike<number>} values at least one; an even number of them has the mean of the two in the middle */
export function median(values) {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length >> 1
  const [lower = Number.NaN, upper = Number.NaN] = sorted.subarray(middle - 1, middle + 1)
  return sorted.length % 2 === 1 ? percentile(sorted, 0.5) : (lower + upper) / 2
}

/**
 * The median of each of some numbers over rounds, under the same name.
 *
 * @template {string} Key
 * @param {readonly Record<Key, number>[]} rounds
 * @param {readonly Key[]} keys
 * @returns {Record<Key, number>}
 */
export function mediansOf(rounds, keys) {
  const entries = keys.map((key) => [key, median(rounds.map((round) => round[key]))])
  return /** @type {Record<Key, number>} */ (Object.fromEntries(entries))
}

/**
 * Jain's index of fairness: 1 when all have the same, 1/n when one has all.
 *
 * @param {readonly number[]} shares
 */
export function jainIndex(shares) {
  const sum = shares.reduce((total, share) => total + share, 0)
  const squares = shares.reduce((total, share) => total + share * share, 0)
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares)
}
