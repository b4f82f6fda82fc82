/** A Map that remembers what was added last: of more entries than it may have, the oldest is forgotten. */
export class RecentMap<K, V> {
  private readonly map = new Map<K, V>()

  constructor(private readonly most: number) {}

  get size(): number {
    return this.map.size
  }

  get(key: K): V | undefined {
    return this.map.get(key)
  }

  /** An entry that is there already keeps its age. */
  set(key: K, value: V): void {
    this.map.set(key, value)
    if (this.map.size > this.most) this.map.delete(this.map.keys().next().value as K)
  }
}
