/**
 * What the ports to a caller's own client of a Cluster have in common. Commands go to the node that has the key, over the caller's
 * connections; messages come over connections of our own to single nodes, because what the libraries make of messages on a Cluster differs.
 */

import { systemClock } from '../util/clock.js'
import { CallerClient } from './caller-client.js'
import { type ChannelListener, ClientError, type NodeCommand, type WakeKind } from './client.js'
import { anyHome, type ClusterMap, commandsTo, sendRouted, slotOf } from './cluster-map.js'
import { Connection, type Wire, type WireEvents } from './connection.js'
import { PlacedChannels } from './placed-channels.js'

const ATTEMPT_MS = 5_000

export abstract class CallerCluster extends CallerClient {
  readonly isCluster = true
  override readonly wake: WakeKind = 'spublish'
  /** What the caller's client knows of its Cluster. */
  protected abstract readonly map: ClusterMap
  /** For messages. */
  private readonly connections = new Map<string, Connection<Wire>>()
  /** How often they have failed since they stood. */
  private readonly failures = new Map<string, number>()
  private readonly plain = this.channels((_, present) => this.anyHome(present), false)
  private readonly sharded = this.channels((channel) => this.map.primaryOf(slotOf(channel))?.address, true)

  /** A wire to one node, with the caller's password and the like; it has `subscribeSharded`. */
  protected abstract wireTo(address: string, events: WireEvents, attemptMs: number): Wire | Promise<Wire>

  command(args: readonly string[], key?: string): Promise<unknown> {
    if (!this.isUp) return Promise.reject(this.reason)
    return sendRouted(this.map, args, key).catch(this.rethrow)
  }

  primaries(): readonly NodeCommand[] {
    return commandsTo(this.map)
  }

  override async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (!this.isUp) throw this.reason
    return this.plain.subscribe(channel, listener)
  }

  async subscribeSharded(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (!this.isUp) throw this.reason
    return this.sharded.subscribe(channel, listener)
  }

  override reconnect(key?: string): void {
    const silent = key === undefined ? undefined : this.map.primaryOf(slotOf(key))?.address
    void this.map.refresh()
    for (const [address, connection] of this.connections) if (key === undefined || address === silent) connection.reconnect()
  }

  override async close(): Promise<void> {
    this.plain.close()
    this.sharded.close()
    for (const connection of this.connections.values()) connection.close()
    this.connections.clear()
    await super.close()
  }

  /** To be called whenever the caller's client may have learnt of another map: channels follow, and claims are asked for again. */
  protected mapChanged(): void {
    if (this.closed) return
    this.plain.check()
    this.sharded.check()
    const present = new Set(this.map.primaries().map(({ address }) => address))
    for (const [address, connection] of this.connections) {
      if (present.has(address)) continue
      connection.close()
      this.connections.delete(address)
      this.failures.delete(address)
    }
    this.tellUp()
  }

  /** Not asked for: each node has a connection of its own. */
  protected makeWire(events: WireEvents, attemptMs: number): Wire | Promise<Wire> {
    const address = this.anyHome(undefined)
    if (address === undefined) throw this.reason
    return this.wireTo(address, events, attemptMs)
  }

  private anyHome(present: string | undefined): string | undefined {
    return anyHome(this.map, present, (address) => (this.failures.get(address) ?? 0) > 1)
  }

  private channels(homeOf: (channel: string, present: string | undefined) => string | undefined, sharded: boolean): PlacedChannels {
    const subscribeAt = (address: string, channel: string, listener: ChannelListener) =>
      this.connectionTo(address).subscribe(channel, listener, sharded)
    return new PlacedChannels({ homeOf, subscribeAt, refresh: () => this.map.refresh() }, systemClock)
  }

  private connectionTo(address: string): Connection<Wire> {
    const present = this.connections.get(address)
    if (present !== undefined) return present
    if (this.closed) throw new ClientError('CLOSED', 'the client was closed')
    const connection = new Connection<Wire>({
      describe: `the connection for messages to ${address}`,
      attemptMs: ATTEMPT_MS,
      clock: systemClock,
      makeWire: (events) => this.wireTo(address, events, ATTEMPT_MS),
      misplaced: (channel) => this.sharded.misplaced(channel),
    })
    // A node that can't be reached may have lost its slots.
    connection.watch({
      up: () => void this.failures.delete(address),
      down: () => {
        this.failures.set(address, (this.failures.get(address) ?? 0) + 1)
        void this.map.refresh().then(() => this.mapChanged())
      },
    })
    this.connections.set(address, connection)
    return connection
  }
}
