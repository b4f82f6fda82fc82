/** Who waits, in the order in which they go: by priority, and by arrival within one. Adding and removing take no search among equals. */

/** The line keeps `before` and `behind` of its entries, which lead to those of the same priority; nobody else writes them. */
export interface LineEntry<T> {
  readonly priority: number
  before: T | undefined
  behind: T | undefined
}

interface Rank<T> {
  readonly priority: number
  first: T
  last: T
}

export class WaitingLine<T extends LineEntry<T>> {
  /** One for each priority that somebody has, the highest first: few, however many wait. */
  private readonly ranks: Rank<T>[] = []
  private count = 0

  get size(): number {
    return this.count
  }

  /** Who goes first. */
  get first(): T | undefined {
    return this.ranks[0]?.first
  }

  add(entry: T): void {
    this.count += 1
    const place = this.ranks.findIndex(({ priority }) => priority <= entry.priority)
    const rank = this.ranks[place]
    if (rank?.priority === entry.priority) {
      entry.before = rank.last
      rank.last.behind = entry
      rank.last = entry
    } else {
      this.ranks.splice(place === -1 ? this.ranks.length : place, 0, { priority: entry.priority, first: entry, last: entry })
    }
  }

  /** Takes out an entry that is in the line. */
  remove(entry: T): void {
    this.count -= 1
    const { before, behind } = entry
    if (before !== undefined) before.behind = behind
    if (behind !== undefined) behind.before = before
    entry.before = undefined
    entry.behind = undefined
    if (before !== undefined && behind !== undefined) return
    const place = this.ranks.findIndex(({ priority }) => priority === entry.priority)
    const rank = this.ranks[place] as Rank<T>
    if (before === undefined && behind === undefined) this.ranks.splice(place, 1)
    else if (before === undefined) rank.first = behind as T
    else rank.last = before
  }

  /** All in order. */
  *[Symbol.iterator](): Generator<T> {
    for (const { first } of this.ranks) for (let entry: T | undefined = first; entry !== undefined; entry = entry.behind) yield entry
  }
}
