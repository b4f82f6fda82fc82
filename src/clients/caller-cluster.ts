/**
 * What the ports to a caller's own client of a Cluster have in common. Commands go to the node that has the key, over the caller's
 * connections; messages come over connections of our own to single nodes, because what the libraries make of messages on a Cluster differs.
 */

import { systemClock } from '../util/clock.js'
import { CallerClient } from './caller-client.js'
import { type ChannelListener, ClientError, type NodeCommand, type WakeKind } from './client.js'
import { type ClusterMap, sendRouted, slotOf } from './cluster-map.js'
import { Connection, type Wire, type WireEvents } from './connection.js'
import { toClientError } from './library-errors.js'
import { ShardedChannels } from './sharded-channels.js'

const ATTEMPT_MS = 5_000

export abstract class CallerCluster extends CallerClient {
  readonly isCluster = true
  override readonly wake: WakeKind = 'spublish'
  /** What the caller's client knows of its Cluster. */
  protected abstract readonly map: ClusterMap
  private readonly byAddress = new Map<string, Connection<Wire>>()
  private shards: ShardedChannels | undefined
  /** On which node plain messages are heard; each attempt takes the next. */
  private turn = Math.floor(Math.random() * 1_000)

  /** A wire to one node, with the caller's password and the like; it has `subscribeSharded`. */
  protected abstract wireTo(address: string, events: WireEvents, attemptMs: number): Wire | Promise<Wire>

  command(args: readonly string[], key?: string): Promise<unknown> {
    if (!this.isUp) return Promise.reject(this.reason)
    return sendRouted(this.map, args, key).catch(this.rethrow)
  }

  primaries(): readonly NodeCommand[] {
    return this.map.primaries().map((node) => async (args) => {
      if (!node.isUp) throw new ClientError('CONNECTION', `${node.address}: not connected`)
      return node.send(args).catch((error) => Promise.reject(toClientError(error)))
    })
  }

  /** Every node hears what is published anywhere. */
  protected makeWire(events: WireEvents, attemptMs: number): Wire | Promise<Wire> {
    const addresses = this.map.primaries().map(({ address }) => address)
    if (addresses.length === 0) throw new ClientError('CONNECTION', 'no node of the Cluster is known')
    this.turn += 1
    return this.wireTo(addresses[this.turn % addresses.length] as string, events, attemptMs)
  }

  async subscribeSharded(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.closed || !this.isUp) throw this.reason
    this.shards ??= new ShardedChannels(
      this.map,
      (address, name, hears) => this.connectionTo(address).subscribe(name, hears, true),
      systemClock,
    )
    return this.shards.subscribe(channel, listener)
  }

  override reconnect(key?: string): void {
    const address = key === undefined ? undefined : this.map.primaryOf(slotOf(key))?.address
    void this.map.refresh()
    super.reconnect()
    for (const [at, connection] of this.byAddress) if (address === undefined || at === address) connection.reconnect()
  }

  override async close(): Promise<void> {
    this.shards?.close()
    for (const connection of this.byAddress.values()) connection.close()
    this.byAddress.clear()
    await super.close()
  }

  /** To be called whenever the caller's client may have learnt of another map: sharded channels follow, and claims are asked for again. */
  protected mapChanged(): void {
    if (this.closed) return
    this.shards?.check()
    const present = new Set(this.map.primaries().map(({ address }) => address))
    for (const [address, connection] of this.byAddress) {
      if (present.has(address)) continue
      connection.close()
      this.byAddress.delete(address)
    }
    this.tellUp()
  }

  private connectionTo(address: string): Connection<Wire> {
    const present = this.byAddress.get(address)
    if (present !== undefined) return present
    const connection = new Connection<Wire>({
      describe: `the connection for messages to ${address}`,
      attemptMs: ATTEMPT_MS,
      clock: systemClock,
      makeWire: (events) => this.wireTo(address, events, ATTEMPT_MS),
      misplaced: (channel) => this.shards?.misplaced(channel),
    })
    // A node that can't be reached may have lost its slots.
    connection.watch({ up: () => {}, down: () => void this.map.refresh() })
    this.byAddress.set(address, connection)
    return connection
  }
}
