/**
 * A Map and a Set whose entries come and go all the time. V8 links each table that a Map has outgrown to the next one: once one of them is in
 * the old part of the heap, all that follow, with whatever was in them, are copied there too and stay until the next full collection. A new
 * Map now and then ends such a chain; without that, a process with 256 claims under way spent a third of its time on it.
 */

/** Before the Map is copied there have been so many removals for each entry in it. */
const REMOVALS_PER_ENTRY = 4
const FEWEST_REMOVALS = 512

export class ChurningMap<K, V> {
  private map = new Map<K, V>()
  private removals = 0

  get size(): number {
    return this.map.size
  }

  get(key: K): V | undefined {
    return this.map.get(key)
  }

  has(key: K): boolean {
    return this.map.has(key)
  }

  set(key: K, value: V): void {
    this.map.set(key, value)
  }

  delete(key: K): void {
    if (!this.map.delete(key)) return
    this.removals += 1
    if (this.removals < FEWEST_REMOVALS || this.removals < this.map.size * REMOVALS_PER_ENTRY) return
    this.map = new Map(this.map)
    this.removals = 0
  }

  /** Those of this moment. */
  values(): V[] {
    return [...this.map.values()]
  }

  /** Those of this moment. */
  keys(): K[] {
    return [...this.map.keys()]
  }
}

export class ChurningSet<T> {
  private readonly map = new ChurningMap<T, T>()

  get size(): number {
    return this.map.size
  }

  add(value: T): void {
    this.map.set(value, value)
  }

  delete(value: T): void {
    this.map.delete(value)
  }

  /** Those of this moment. */
  values(): T[] {
    return this.map.values()
  }
}
