/**
 * The tokens that come with counted grants, for holders that permits are handed on to (see `Grant.canHandOn`). All holders of one name in this
 * locksmith take from the newest grant's, whosever permits they have: so tokens grow from one holder here to the next. Holders elsewhere have
 * other tokens, and it is not known which are larger.
 */

import { SPARE_TOKENS } from '../store/store.js'
import { RecentMap } from '../util/recent-map.js'

/** Of names that were used longer ago than so many others nothing is remembered: their next grants begin anew, with larger tokens. */
const REMEMBERED = 1_000

export class Spare {
  private next: number
  private last: number

  constructor(fencingToken: number) {
    this.next = fencingToken + 1
    this.last = fencingToken + SPARE_TOKENS
  }

  /** A newer grant brought more. */
  refill(fencingToken: number): void {
    if (fencingToken < this.next) return
    this.next = fencingToken + 1
    this.last = fencingToken + SPARE_TOKENS
  }

  /** The next one; undefined when they are used up. */
  take(): number | undefined {
    if (this.next > this.last) return undefined
    this.next += 1
    return this.next - 1
  }
}

export class SpareTokens {
  private readonly byName = new RecentMap<string, Spare>(REMEMBERED)

  /** Those of a name, one of whose counted claims here was granted just now. */
  granted(name: string, fencingToken: number): Spare {
    const known = this.byName.get(name)
    if (known !== undefined) {
      known.refill(fencingToken)
      return known
    }
    const spare = new Spare(fencingToken)
    this.byName.set(name, spare)
    return spare
  }
}
