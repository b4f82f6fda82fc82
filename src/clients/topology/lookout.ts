/**
 * Knows where the primary is: asks when a connection is to be made, when something hints at a change, and every second while the
 * locksmith is in use, because a former primary may go on answering as if nothing had happened.
 */

import type { RedisTarget } from '../../redis-options.js'
import type { Clock, Timer } from '../../util/clock.js'

/** Finds the primary, by asking whoever knows. */
export interface Finder {
  /** Bounded. Rejects with a `ClientError` when there is none, or nobody who would tell. */
  find(): Promise<RedisTarget>
  /** Begins to listen to what is told without being asked. */
  listen?(news: () => void): void
  close(): Promise<void>
}

/** How often the finder is asked while requests are made. */
const LOOK_EVERY_MS = 1_000
/** So long after the last request it is no longer in use. Leases are renewed more often, unless they are of minutes. */
const USE_MS = 60_000

export class Lookout {
  /** Where the primary was seen last. */
  private last: RedisTarget | undefined
  private foundAtMs = 0
  private looking: Promise<RedisTarget> | undefined
  private busy = false
  private usedAtMs = Number.NEGATIVE_INFINITY
  private timer: Timer | undefined
  private listening = false
  private closed = false

  constructor(
    private readonly finder: Finder,
    private readonly clock: Clock,
    /** Told when the primary is elsewhere than where a connection was made to, and why the connection should be made anew. */
    private readonly moved: (reason: string) => void,
    /** When nothing was found for so long, what the connection leads to counts no more as the primary. */
    private readonly doubtAfterMs = Number.POSITIVE_INFINITY,
  ) {}

  /** `host:port` of the primary, as seen last. */
  get describe(): string {
    return this.last?.describe ?? 'the primary'
  }

  /** Where to connect to now. Rejects when there is no primary. */
  async locate(): Promise<RedisTarget> {
    if (!this.listening) this.finder.listen?.(() => this.look())
    this.listening = true
    this.last = await this.find()
    this.foundAtMs = this.clock.now()
    return this.last
  }

  /** Something may have changed. */
  look(): void {
    const { last } = this
    if (last === undefined || this.closed) return
    this.find().then(
      (found) => {
        this.foundAtMs = this.clock.now()
        if (found.describe === this.last?.describe || this.last !== last || this.closed) return
        this.last = found
        this.moved(`the primary is ${found.describe} now, and not ${last.describe}`)
      },
      // Usually the connection is lost as well, and that tells.
      (error: Error) => {
        if (this.closed || this.clock.now() - this.foundAtMs < this.doubtAfterMs) return
        this.foundAtMs = this.clock.now()
        this.moved(error.message)
      },
    )
  }

  /** Whether requests are under way. */
  use(busy: boolean): void {
    this.busy = busy
    this.usedAtMs = this.clock.now()
    if (busy) this.arm()
  }

  async close(): Promise<void> {
    this.closed = true
    this.timer?.cancel()
    await this.finder.close()
  }

  private find(): Promise<RedisTarget> {
    this.looking ??= this.finder.find().finally(() => {
      this.looking = undefined
    })
    return this.looking
  }

  private arm(): void {
    if (this.timer !== undefined || this.closed) return
    this.timer = this.clock.after(LOOK_EVERY_MS, () => {
      this.timer = undefined
      if (!this.busy && this.clock.now() - this.usedAtMs > USE_MS) return
      this.look()
      this.arm()
    })
  }
}
