/** Sharded channels of a Cluster: each is subscribed to on the node that has its slot, and follows the slot when that moves. */

import type { Clock, Timer } from '../util/clock.js'
import { type ChannelListener, ClientError } from './client.js'
import { type ClusterMap, slotOf } from './cluster-map.js'

/** A channel that found no place is tried again after this time. */
const RETRY_MS = 500
/** The map can be wrong while a slot moves: so many times it is asked for before a subscription fails. */
const MOST_TRIES = 3

/** Subscribes to a sharded channel on one node, by its address. */
export type SubscribeAt = (address: string, channel: string, listener: ChannelListener) => Promise<() => Promise<void>>

interface Place {
  readonly channel: string
  readonly slot: number
  readonly listeners: Set<ChannelListener>
  /** Where it is subscribed to; undefined: nowhere. */
  address: string | undefined
  end: (() => Promise<void>) | undefined
  seeking: Promise<void> | undefined
}

export class ShardedChannels {
  private readonly places = new Map<string, Place>()
  private timer: Timer | undefined
  private closed = false

  constructor(
    private readonly map: ClusterMap,
    private readonly subscribeAt: SubscribeAt,
    private readonly clock: Clock,
  ) {}

  async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.closed) throw new ClientError('CLOSED', 'the client was closed')
    const place = this.places.get(channel) ?? this.makePlace(channel)
    place.listeners.add(listener)
    try {
      await this.settle(place)
    } catch (error) {
      await this.leave(place, listener)
      throw error
    }
    return () => this.leave(place, listener)
  }

  /** The map may have changed: what lies where it no longer belongs moves. */
  check(): void {
    for (const place of this.places.values()) {
      if (place.seeking !== undefined || place.address === this.map.primaryOf(place.slot)?.address) continue
      this.settle(place).then(
        () => place.listeners.forEach((listener) => listener.restored()),
        () => this.retry(),
      )
    }
  }

  /** A node ended the subscription, or refused to renew it, because the slot is another's. */
  misplaced(channel: string): void {
    const place = this.places.get(channel)
    if (place === undefined) return
    void place.end?.().catch(() => {})
    place.end = undefined
    place.address = undefined
    void this.map.refresh().then(() => this.check())
  }

  close(): void {
    this.closed = true
    this.timer?.cancel()
    this.places.clear()
  }

  private makePlace(channel: string): Place {
    const place: Place = {
      channel,
      slot: slotOf(channel),
      listeners: new Set(),
      address: undefined,
      end: undefined,
      seeking: undefined,
    }
    this.places.set(channel, place)
    return place
  }

  private settle(place: Place): Promise<void> {
    place.seeking ??= this.seek(place).finally(() => {
      place.seeking = undefined
    })
    return place.seeking
  }

  private async seek(place: Place): Promise<void> {
    const { channel, slot, listeners } = place
    for (let tries = 1; ; tries++) {
      const address = this.map.primaryOf(slot)?.address
      if (address === undefined) throw new ClientError('CONNECTION', `no node of the Cluster is known to have slot ${slot}`)
      if (address === place.address) return
      void place.end?.().catch(() => {})
      place.address = undefined
      place.end = undefined
      try {
        const end = await this.subscribeAt(address, channel, {
          message: (payload) => listeners.forEach((listener) => listener.message(payload)),
          restored: () => listeners.forEach((listener) => listener.restored()),
        })
        if (this.places.get(channel) !== place) return void end().catch(() => {})
        place.end = end
        place.address = address
        return
      } catch (error) {
        if (tries === MOST_TRIES || !(error instanceof ClientError) || error.replyCode !== 'MOVED') throw error
        await this.map.refresh()
      }
    }
  }

  private async leave(place: Place, listener: ChannelListener): Promise<void> {
    if (!place.listeners.delete(listener) || place.listeners.size > 0) return
    if (this.places.get(place.channel) === place) this.places.delete(place.channel)
    const { end } = place
    place.end = undefined
    await end?.().catch(() => {})
  }

  private retry(): void {
    if (this.closed || this.timer !== undefined) return
    this.timer = this.clock.after(RETRY_MS, () => {
      this.timer = undefined
      void this.map.refresh().then(() => this.check())
    })
  }
}
