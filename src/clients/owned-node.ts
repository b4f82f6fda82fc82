/** Our own connection to one node of a Cluster. */

import type { Clock, Timer } from '../util/clock.js'
import { ClientError } from './client.js'
import type { ClusterNode } from './cluster-map.js'
import type { NodeRedisOptions } from './node-redis-wire.js'
import { createOwnedClient, type OwnedRedisClient } from './owned.js'

/** A node that is being connected to is waited for, so long at most. */
const OPENING_MS = 1_500
/** A node that does not say what the map is in this time is passed over. */
const ANSWER_MS = 500
/** After the first silence a node may just be slow. */
const SILENCES = 2
const ONE_SILENCE_MS = 500

export interface NodeEvents {
  up(): void
  down(error: ClientError): void
  misplaced(channel: string): void
}

export class OwnedNode implements ClusterNode {
  readonly client: OwnedRedisClient
  /** Losses and failed attempts since it was up. */
  private failures = 0
  private silences = 0
  private lastSilenceMs = Number.NEGATIVE_INFINITY

  constructor(
    readonly address: string,
    options: NodeRedisOptions,
    private readonly clock: Clock,
    events: NodeEvents,
  ) {
    const { url: _url, socket: { path: _path, ...socket } = {}, ...rest } = options
    const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1')
    const port = Number(address.slice(address.lastIndexOf(':') + 1))
    this.client = createOwnedClient({
      options: { ...rest, socket: { ...socket, host, port } },
      describe: address,
      clock,
      misplaced: (channel) => events.misplaced(channel),
    })
    this.client.watch({
      up: () => {
        this.failures = 0
        events.up()
      },
      down: (error) => {
        this.failures += 1
        events.down(error as ClientError)
      },
    })
  }

  /** A connection was lost, and did not come back at once. */
  get isAway(): boolean {
    return this.failures > 1
  }

  get isUp(): boolean {
    return this.client.isUp
  }

  send(args: readonly string[]): Promise<unknown> {
    return this.client.command(args).then(this.heard)
  }

  /** As `send`, when it is connected, and within a bound. */
  async ask(args: readonly string[]): Promise<unknown> {
    await this.whenUp()
    return this.inTime(ANSWER_MS, this.send(args))
  }

  /** Rejects when an attempt to connect failed, or takes too long. */
  async whenUp(limitMs = OPENING_MS): Promise<void> {
    if (this.isUp) return
    let unwatch = (): void => {}
    const opened = new Promise<void>((resolve, reject) => {
      unwatch = this.client.watch({ up: resolve, down: reject })
      this.client.connect()
    })
    await this.inTime(limitMs, opened).finally(unwatch)
  }

  /** A request went unanswered. More than one in a row: the connection may be dead without a sign of it. */
  silence(): void {
    // Several may end at the same time.
    const nowMs = this.clock.now()
    if (nowMs - this.lastSilenceMs < ONE_SILENCE_MS) return
    this.lastSilenceMs = nowMs
    this.silences += 1
    if (this.silences < SILENCES) return
    this.silences = 0
    this.client.reconnect()
  }

  close(): void {
    void this.client.close()
  }

  private readonly heard = (reply: unknown): unknown => {
    this.silences = 0
    return reply
  }

  private async inTime<T>(limitMs: number, request: Promise<T>): Promise<T> {
    let timer: Timer | undefined
    const late = new Promise<never>((_, reject) => {
      timer = this.clock.after(limitMs, () => reject(new ClientError('CONNECTION', `${this.address}: no answer within ${limitMs} ms`)))
    })
    return Promise.race([request, late]).finally(() => timer?.cancel())
  }
}
