/** A binary heap of things that are due at some time, each of which can be moved or removed without a search. */

/** The heap keeps `dueMs` and `heapIndex` of its entries; nobody else writes them. */
export interface HeapEntry {
  dueMs: number
  /** Its place in the heap; -1 while it is in none. */
  heapIndex: number
}

export class DeadlineHeap<T extends HeapEntry> {
  private readonly entries: T[] = []

  get size(): number {
    return this.entries.length
  }

  /** What is due first. */
  get first(): T | undefined {
    return this.entries[0]
  }

  /** Adds an entry, or moves it to its new time. */
  set(entry: T, dueMs: number): void {
    entry.dueMs = dueMs
    if (entry.heapIndex === -1) {
      entry.heapIndex = this.entries.length
      this.entries.push(entry)
    }
    this.sink(this.rise(entry))
  }

  /** Removes an entry; harmless when it is not in the heap. */
  remove(entry: T): void {
    const index = entry.heapIndex
    if (index === -1) return
    const last = this.entries.pop() as T
    if (last !== entry) {
      this.place(last, index)
      this.sink(this.rise(last))
    }
    entry.heapIndex = -1
  }

  private place(entry: T, index: number): void {
    this.entries[index] = entry
    entry.heapIndex = index
  }

  private rise(entry: T): T {
    let index = entry.heapIndex
    while (index > 0) {
      const parent = this.entries[(index - 1) >> 1] as T
      if (parent.dueMs <= entry.dueMs) break
      this.place(parent, index)
      index = (index - 1) >> 1
    }
    this.place(entry, index)
    return entry
  }

  private sink(entry: T): void {
    let index = entry.heapIndex
    for (;;) {
      const left = this.entries[2 * index + 1]
      const right = this.entries[2 * index + 2]
      const child = right !== undefined && left !== undefined && right.dueMs < left.dueMs ? right : left
      if (child === undefined || child.dueMs >= entry.dueMs) break
      const below = child.heapIndex
      this.place(child, index)
      index = below
    }
    this.place(entry, index)
  }
}
