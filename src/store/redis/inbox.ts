/** What is heard on the inbox channels, and on which channel each session hears. A message is a hint: nothing depends on one arriving. */

import type { RedisClient } from '../../clients/client.js'
import { ClientError } from '../../clients/client.js'
import type { Clock } from '../../util/clock.js'
import type { ClaimReply, SessionListener } from '../store.js'
import type { Exchange } from './exchange.js'
import type { Keyspace } from './keys.js'
import { Nearby } from './nearby.js'
import { isOfItsTime, SERVER_ROUNDING_MS } from './replies.js'

/** A granted claim: `g <id> <fencing token> <server's ms> <lease ms> <others wait>`; a changed one: `c <id>`; one not alone any more: `o <id>`. */
const MESSAGE = /^(?:g (\S{1,128}) (\d{1,16}) (\d{1,16}) (\d{1,16}) ([01])|([co]) (\S{1,128}))$/

/** How the scripts wake a waiter: by PUBLISH, on a Cluster (where nobody knows how many hear it) or not, by SPUBLISH, or not at all. */
export type Wake = 'p' | 'c' | 's' | '-'

interface Session {
  readonly listener: SessionListener
  /** Settles when the server has confirmed or refused the subscription. */
  subscribed: Promise<(() => Promise<void>) | undefined> | undefined
  unsubscribe: (() => Promise<void>) | undefined
  wake: Wake
}

/** The session that a claim id belongs to. */
export function sessionOf(id: string): string {
  return id.slice(0, id.indexOf('.'))
}

export class Inbox {
  /** Messages that were not for us or not well formed, since the start. */
  ignored = 0
  private readonly sessions = new Map<string, Session>()
  private readonly isCluster: boolean
  private readonly nearby: Nearby

  constructor(
    private readonly client: RedisClient,
    private readonly clock: Clock,
    private readonly keys: Keyspace,
    private readonly exchange: Exchange,
    /** False: nothing is pushed, and nobody subscribes. */
    private readonly pushes: boolean,
    private readonly warn: (code: string, message: string) => void,
  ) {
    this.isCluster = client.isCluster === true
    this.nearby = new Nearby(client, clock)
  }

  get listeners(): SessionListener[] {
    return Array.from(this.sessions.values(), (session) => session.listener)
  }

  /** How a waiter of this session, for this name, can be woken at present. */
  wakeOf(session: string, name: string): Wake {
    const wake = this.sessions.get(session)?.wake ?? '-'
    return wake === 'c' && this.nearby.hears(this.keys.shardedInbox(name, session)) ? 's' : wake
  }

  /** On a Cluster: a claim that has to wait is to be woken by the node that has its name. */
  async hearNearby({ id, name }: { readonly id: string; readonly name: string }, reply: Promise<ClaimReply>): Promise<void> {
    const status = await reply.then(
      (answer) => answer.status,
      () => 'failed',
    )
    const session = sessionOf(id)
    const entry = this.sessions.get(session)
    if (status !== 'waiting' || entry === undefined) return
    const channel = this.keys.shardedInbox(name, session)
    const hear = (text: string) => this.hear(session, text)
    this.nearby.listen(channel, session, id, hear, (waiting) => entry.listener.changed(waiting))
  }

  close(): void {
    this.nearby.close()
  }

  async open(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    let entry = this.sessions.get(session)
    if (entry === undefined) {
      entry = { listener, subscribed: undefined, unsubscribe: undefined, wake: '-' }
      this.sessions.set(session, entry)
    }
    if (this.pushes) await this.exchange.bounded(() => this.subscribe(session, entry), 'SUBSCRIBE')
    return () => this.leave(session)
  }

  private async leave(session: string): Promise<void> {
    const entry = this.sessions.get(session)
    if (entry === undefined) return
    this.sessions.delete(session)
    this.nearby.leave(session)
    const { unsubscribe, subscribed } = entry
    if (unsubscribe === undefined) {
      // Not confirmed, and perhaps never: nobody waits for it.
      void subscribed?.then((late) => late?.()).catch(() => undefined)
      return
    }
    // With the connection gone the subscription is gone as well; nobody should wait for it to come back.
    await (this.client.isUp ? this.exchange.bounded(unsubscribe, 'UNSUBSCRIBE') : unsubscribe()).catch(() => undefined)
  }

  /** Subscribes once; an attempt that failed for want of a connection is made again at the next call. */
  private subscribe(session: string, entry: Session): Promise<unknown> {
    entry.subscribed ??= this.client
      .subscribe(this.keys.inbox(session), {
        message: (text) => this.hear(session, text),
        restored: () => entry.listener.restored(),
      })
      .then(
        (unsubscribe) => {
          entry.unsubscribe = unsubscribe
          entry.wake = this.isCluster ? 'c' : 'p'
          return unsubscribe
        },
        (error) => {
          if (error instanceof ClientError && error.code === 'REPLY' && error.replyCode === 'NOPERM') {
            this.warn(
              'NO_CHANNEL_RIGHT',
              `the user may not subscribe to ${this.keys.inboxPrefix}*: waiters poll instead of being woken; ` +
                `grant the user &${this.keys.prefix}* (${error.message})`,
            )
            return undefined
          }
          entry.subscribed = undefined
          throw error
        },
      )
    return entry.subscribed
  }

  private hear(session: string, text: string): void {
    const entry = this.sessions.get(session)
    const found = MESSAGE.exec(text)
    if (entry === undefined || found === null) {
      this.ignored += 1
      return
    }
    const [, grantedId, token, serverMs, leaseMs, followed, hint, hintedId] = found
    const id = grantedId ?? (hintedId as string)
    if (sessionOf(id) !== session) {
      this.ignored += 1
    } else if (grantedId !== undefined) {
      this.heardGrant(entry.listener, id, Number(token), Number(serverMs), Number(leaseMs), followed === '1')
    } else if (hint === 'c') {
      entry.listener.changed(id)
    } else {
      entry.listener.othersWait(id)
    }
  }

  /**
   * A grant counts from the server's time in it, bounded by our last exchange: a message that was long under way is too old to use. On a
   * Cluster that exchange may have been with another node, whose clock says nothing of this one's: the claim is asked for again, at once, and the
   * answer is its grant, with the whole lease.
   */
  private heardGrant(
    listener: SessionListener,
    id: string,
    fencingToken: number,
    serverMs: number,
    leaseMs: number,
    othersWait: boolean,
  ): void {
    if (this.isCluster) return listener.changed(id)
    const nowMs = this.clock.now()
    // A server clock that stepped since our last exchange may make the first bound late; the second holds whatever clocks do.
    const validUntilMs = Math.min(this.exchange.notLaterThan(serverMs) + leaseMs - SERVER_ROUNDING_MS, nowMs + leaseMs)
    if (validUntilMs > nowMs && Number.isSafeInteger(fencingToken)) {
      listener.granted(id, { fencingToken, validUntilMs, othersWait, canHandOn: isOfItsTime(fencingToken, serverMs) })
    } else {
      listener.changed(id)
    }
  }
}
