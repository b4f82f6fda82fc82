/** Keeps the process alive while requests are under way, and a moment longer: telling the socket takes as long as writing a request. */

import type { RedisClient } from '../../clients/client.js'
import type { Clock, Timer } from '../../util/clock.js'

/** A process that asks for one thing after the other tells its socket once in this time, and one that is done ends this much later. */
export const LINGER_MS = 10

export class KeepAlive {
  private busy = false
  private closed = false
  private holding = false
  private timer: Timer | undefined

  constructor(
    private readonly client: Pick<RedisClient, 'keepProcessAlive'>,
    private readonly clock: Clock,
  ) {}

  /** Whether a request is under way. */
  set(busy: boolean): void {
    if (busy === this.busy || this.closed) return
    this.busy = busy
    if (busy) this.hold(true)
    // One that stands already looks again whether there is something under way.
    else this.timer ??= this.clock.after(LINGER_MS, () => this.look())
  }

  /** Nothing will be under way any more. */
  close(): void {
    this.closed = true
    this.timer?.cancel()
    this.timer = undefined
    this.hold(false)
  }

  private look(): void {
    this.timer = undefined
    if (!this.busy) this.hold(false)
  }

  private hold(holding: boolean): void {
    if (holding === this.holding) return
    this.holding = holding
    this.client.keepProcessAlive(holding)
  }
}
