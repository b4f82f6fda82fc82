// @ts-check

/**
 * Measures several things in turn, again and again: whatever else the machine does meanwhile hits all of them alike. Each round begins
 * with another one, as the first may profit or suffer from its place.
 *
 * @template Thing, Measured
 * @param {number} rounds
 * @param {readonly Thing[]} things
 * @param {(thing: Thing, round: number) => Promise<Measured>} measure
 * @returns {Promise<Measured[][]>} for each thing its measurements, one a round
 */
export async function interleave(rounds, things, measure) {
  /** @type {Measured[][]} */
  const measured = things.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < things.length; turn++) {
      const index = (round + turn) % things.length
      const thing = /** @type {Thing} */ (things[index])
      measured[index]?.push(await measure(thing, round))
    }
  }
  return measured
}
