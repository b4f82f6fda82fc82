/**
 * How evenly something was shared, after Jain: 1 when all got the same, 1/n when one of n got everything. 1 for nobody and for nothing.
 */
export function jainIndex(counts: readonly number[]): number {
  const sum = counts.reduce((total, count) => total + count, 0)
  const squares = counts.reduce((total, count) => total + count * count, 0)
  return squares === 0 ? 1 : (sum * sum) / (counts.length * squares)
}

/** The smallest value that at least `percent` % of the values do not exceed (nearest rank). NaN for no values. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length))
  return sorted[rank - 1] ?? Number.NaN
}
