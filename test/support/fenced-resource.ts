/**
 * What locks are there for: something that many processes write to, and that refuses a write whose fencing token is smaller than one it has
 * seen. It lives in the process of the test, knows nothing of Redis, and keeps a book of all that was tried.
 */

export interface Write {
  readonly name: string
  /** Who: unique among those who can hold a lock at once. */
  readonly holder: string
  readonly fencingToken: number
  /** When it was decided on, by the monotonic clock that all processes of a machine share. */
  readonly atNs: bigint
  readonly accepted: boolean
}

export class FencedResource {
  /** In the order in which they came. */
  readonly writes: Write[] = []
  readonly #last = new Map<string, number>()

  /** Whether the write was accepted. */
  write({ name, holder, fencingToken }: Pick<Write, 'name' | 'holder' | 'fencingToken'>): boolean {
    const accepted = fencingToken >= (this.#last.get(name) ?? 0)
    if (accepted) this.#last.set(name, fencingToken)
    this.writes.push({ name, holder, fencingToken, atNs: process.hrtime.bigint(), accepted })
    return accepted
  }
}
