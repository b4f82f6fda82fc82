// @ts-check
/** Figures that compare contenders. Within a round the machine is about the same for all, so it is the rounds that are compared. */
import { median } from './stats.mjs'

/**
 * @template Round
 * @typedef {{ rounds: readonly Round[] }} Measured
 */

/**
 * @template Round
 * @param {Measured<Round> | undefined} one
 * @param {Measured<Round> | undefined} other measured in the same rounds
 * @param {(round: Round) => number} pick
 * @returns {number} the median of the rounds' ratios; NaN when one of the two was not measured
 */
export function ratio(one, other, pick) {
  if (one === undefined || other === undefined) return Number.NaN
  return median(one.rounds.map((round, i) => pick(round) / pick(/** @type {Round} */ (other.rounds[i]))))
}

/**
 * Whoever has the largest number, or the smallest of the negated ones.
 *
 * @template One
 * @param {readonly One[]} all
 * @param {(one: One) => number} number
 * @returns {One | undefined} undefined: there is none
 */
export function best(all, number) {
  return all.reduce((/** @type {One | undefined} */ top, one) => (top === undefined || number(one) > number(top) ? one : top), undefined)
}

/**
 * What could not be compared, as something was not there, is no figure.
 *
 * @param {readonly import('./table.mjs').Figure[]} figures
 */
export function measuredOnly(figures) {
  return figures.filter(({ measured }) => !Number.isNaN(measured))
}
