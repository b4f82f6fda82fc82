/** Takes back what the server may have of claims that were given up: a place in its queue, a grant that was under way. */

import { letGo } from '../store/let-go.js'
import type { LockStore, ReleaseOptions } from '../store/store.js'
import type { Clock } from '../util/clock.js'
import { RecentMap } from '../util/recent-map.js'
import type { Seat } from './name-queue.js'

/** Names of claims that were given up, for grants that reach them late: more than this many are forgotten. */
const REMEMBERED = 1_000

export class TakingBack {
  private readonly names = new RecentMap<string, string>(REMEMBERED)
  private readonly underWay = new Set<Promise<unknown>>()

  constructor(
    private readonly store: LockStore,
    private readonly clock: Clock,
  ) {}

  /** How many requests are under way. */
  get size(): number {
    return this.underWay.size
  }

  /** Of a seat that nobody wants any more. */
  withdraw({ wasSent, stray, request: { name, id, ttlMs } }: Seat): void {
    if (!wasSent) return
    this.names.set(id, name)
    const withinMs = Math.max(ttlMs, this.store.claimWindowMs)
    this.release(name, id, withinMs, { withdraw: true })
    // A request that was never answered may come later still. The first withdrawal takes the place or the grant away; only one that finds
    // nothing leaves a mark.
    if (stray) this.release(name, id, withinMs, { withdraw: true })
  }

  /** A grant was pushed to a claim that nobody here has; it may be one of these. */
  onGranted(id: string): void {
    const name = this.names.get(id)
    // A plain release: what may come later has been withdrawn already, and a second withdrawal that finds nothing would leave a mark.
    if (name !== undefined) this.release(name, id, this.store.claimWindowMs)
  }

  /** Resolves when all that is under way now has come to its end. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.underWay)
  }

  private release(name: string, id: string, withinMs: number, options?: ReleaseOptions): void {
    const done = letGo(this.store, this.clock, name, id, this.clock.now() + withinMs, options)
      // The server refuses: what it has of this claim ends by itself, after its lease or for want of a sign of life.
      .catch(() => undefined)
      .finally(() => this.underWay.delete(done))
    this.underWay.add(done)
  }
}
