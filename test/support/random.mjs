// @ts-check
/** Chance that can be had again: the same seed gives the same numbers, in the tests and in their child processes. */

export class Random {
  #state

  /** @param {number} seed a whole number */
  constructor(seed) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, not including, 1. The generator is known as mulberry32. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /**
   * A whole number of a range, both ends included.
   *
   * @param {readonly [least: number, most: number]} range
   */
  within([least, most]) {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  /**
   * @template T
   * @param {readonly T[]} things at least one
   * @returns {T}
   */
  pick(things) {
    return /** @type {T} */ (things[Math.floor(this.next() * things.length)])
  }

  /**
   * @template T
   * @param {readonly T[]} things
   * @returns {T[]} all of them, in an order of its own
   */
  shuffle(things) {
    const left = [...things]
    const shuffled = []
    while (left.length > 0) shuffled.push(...left.splice(Math.floor(this.next() * left.length), 1))
    return shuffled
  }
}
