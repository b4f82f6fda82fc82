/**
 * Channels on a Cluster. Each is subscribed to on one node, its home: a sharded channel on the primary that has its slot, any other on whichever
 * node, because all hear what is published anywhere. When the map changes, so may the home, and the subscription follows.
 */

import type { Clock, Timer } from '../util/clock.js'
import { type ChannelListener, ClientError } from './client.js'

/** A channel that found no home is tried again after this time. */
const RETRY_MS = 250
/** The map can be wrong while a slot moves: so many homes are tried before a subscription fails. */
const MOST_TRIES = 3

/** How channels of one kind find their nodes. */
export interface Homes {
  /** The address of the node where a channel belongs at present. `present`: where it is subscribed to. */
  homeOf(channel: string, present: string | undefined): string | undefined
  subscribeAt(address: string, channel: string, listener: ChannelListener): Promise<() => Promise<void>>
  /** Resolves when the map was looked at anew, or could not be. */
  refresh(): Promise<void>
}

interface Place {
  readonly channel: string
  readonly listeners: Set<ChannelListener>
  /** Where it is subscribed to; undefined: nowhere. */
  address: string | undefined
  end: (() => Promise<void>) | undefined
  seeking: Promise<void> | undefined
}

export class PlacedChannels {
  private readonly places = new Map<string, Place>()
  /** Where a channel stood last: others that may be anywhere go there too, on the same connection. */
  private lastAddress: string | undefined
  private timer: Timer | undefined
  private closed = false

  constructor(
    private readonly homes: Homes,
    private readonly clock: Clock,
  ) {}

  async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.closed) throw new ClientError('CLOSED', 'the client was closed')
    const place = this.places.get(channel) ?? { channel, listeners: new Set(), address: undefined, end: undefined, seeking: undefined }
    this.places.set(channel, place)
    place.listeners.add(listener)
    try {
      await this.settle(place)
    } catch (error) {
      await this.leave(place, listener)
      throw error
    }
    return () => this.leave(place, listener)
  }

  /** The map may have changed: what is not at home moves there. */
  check(): void {
    for (const place of this.places.values()) {
      const { address, channel } = place
      if (place.seeking !== undefined || (address !== undefined && address === this.homes.homeOf(channel, address))) continue
      this.settle(place).then(
        () => place.listeners.forEach((listener) => listener.restored()),
        () => this.retry(),
      )
    }
  }

  /** A node ended the subscription, or refused to renew it: the channel belongs elsewhere by now. */
  misplaced(channel: string): void {
    const place = this.places.get(channel)
    if (place === undefined) return
    place.address = undefined
    void this.homes.refresh().then(() => this.check())
  }

  close(): void {
    this.closed = true
    this.timer?.cancel()
    this.places.clear()
  }

  private settle(place: Place): Promise<void> {
    place.seeking ??= this.seek(place).finally(() => {
      place.seeking = undefined
    })
    return place.seeking
  }

  private async seek(place: Place): Promise<void> {
    const { channel, listeners } = place
    for (let tries = 1; ; tries++) {
      const address = this.homes.homeOf(channel, place.address ?? this.lastAddress)
      if (address === undefined) throw new ClientError('CONNECTION', 'no node of the Cluster is known to have the channel')
      if (address === place.address) return
      place.end?.().catch(() => {})
      place.address = undefined
      place.end = undefined
      try {
        const end = await this.homes.subscribeAt(address, channel, {
          message: (payload) => listeners.forEach((listener) => listener.message(payload)),
          restored: () => listeners.forEach((listener) => listener.restored()),
        })
        if (this.places.get(channel) !== place) return void end().catch(() => {})
        place.end = end
        place.address = address
        this.lastAddress = address
        return
      } catch (error) {
        // Another kind of refusal will be repeated anywhere.
        const elsewhere = error instanceof ClientError && (error.code === 'CONNECTION' || error.replyCode === 'MOVED')
        if (tries === MOST_TRIES || !elsewhere || this.closed) throw error
        await this.homes.refresh()
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
      void this.homes.refresh().then(() => this.check())
    })
  }
}
