/**
 * On a Cluster: sharded channels, on which a session hears of one name from the node that has it. SPUBLISH is that node's business alone, where
 * PUBLISH goes through all of them, and it tells how many hear, so that a waiter that is gone is passed over at once.
 *
 * A claim never waits for such a channel. Its session can be told by PUBLISH from the beginning; when the channel stands, the claim is asked for
 * again, which writes into its place in the queue that SPUBLISH wakes it from now on.
 */

import { ClientError, type RedisClient } from '../../clients/client.js'
import type { Clock, Timer } from '../../util/clock.js'

/** Beyond so many names that are waited for at a time, PUBLISH does. */
const MOST = 1_000
/** A channel of a name for which nobody has waited for so long is given up. */
const IDLE_MS = 60_000

interface Ear {
  readonly session: string
  /** The claim that asked last, to be asked for again when the channel stands. */
  id: string
  usedAtMs: number
  stands: boolean
  end: (() => Promise<void>) | undefined
}

export class Nearby {
  private readonly ears = new Map<string, Ear>()
  private timer: Timer | undefined
  /** Before version 7 there are no sharded channels, and a user may have no right to them. */
  private refused = false

  constructor(
    private readonly client: RedisClient,
    private readonly clock: Clock,
  ) {}

  /** Whether a waiter can be woken on this channel. */
  hears(channel: string): boolean {
    const ear = this.ears.get(channel)
    if (ear === undefined) return false
    ear.usedAtMs = this.clock.now()
    return ear.stands
  }

  /**
   * Begins to listen, if it has not begun.
   *
   * @param id the claim that waits
   * @param changed called with the id when the channel stands, or stands again
   */
  listen(channel: string, session: string, id: string, message: (text: string) => void, changed: (id: string) => void): void {
    const present = this.ears.get(channel)
    if (present !== undefined) {
      present.id = id
      return
    }
    if (this.refused || this.ears.size >= MOST || this.client.subscribeSharded === undefined) return
    const ear: Ear = { session, id, usedAtMs: this.clock.now(), stands: false, end: undefined }
    this.ears.set(channel, ear)
    this.arm()
    this.client.subscribeSharded(channel, { message, restored: () => changed(ear.id) }).then(
      (end) => {
        // Given up meanwhile.
        if (this.ears.get(channel) !== ear) return void end().catch(() => {})
        ear.end = end
        ear.stands = true
        changed(ear.id)
      },
      (error) => {
        if (this.ears.get(channel) === ear) this.ears.delete(channel)
        // A slot that moves, a node that fails over: those pass.
        if (error instanceof ClientError && /^(?:ERR|NOPERM)$/.test(error.replyCode)) this.refused = true
      },
    )
  }

  /** The session listens no more. */
  leave(session: string): void {
    for (const [channel, ear] of this.ears) if (ear.session === session) this.giveUp(channel, ear)
  }

  close(): void {
    this.timer?.cancel()
    this.timer = undefined
    this.ears.clear()
  }

  private giveUp(channel: string, ear: Ear): void {
    this.ears.delete(channel)
    ear.end?.().catch(() => {})
  }

  private arm(): void {
    this.timer ??= this.clock.after(IDLE_MS / 2, () => {
      this.timer = undefined
      const beforeMs = this.clock.now() - IDLE_MS
      for (const [channel, ear] of this.ears) if (ear.usedAtMs <= beforeMs) this.giveUp(channel, ear)
      if (this.ears.size > 0) this.arm()
    })
  }
}
