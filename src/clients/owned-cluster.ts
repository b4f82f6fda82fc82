/**
 * The connections that this library makes itself to a Cluster: one to each primary, as `owned.ts` makes one to a server, with commands and
 * messages on it. Not with node-redis' `createCluster`, whose timers keep a process alive, and which carries commands out after they were given up.
 */

import { type Clock, systemClock, type Timer } from '../util/clock.js'
import { type ChannelListener, ClientError, type ConnectionListener, type NodeCommand, type RedisClient } from './client.js'
import { anyHome, type ClusterMap, commandsTo, sendRouted, slotOf } from './cluster-map.js'
import { hostOf, type Owners, ownersIn } from './cluster-slots.js'
import type { NodeRedisOptions } from './node-redis-wire.js'
import { OwnedNode } from './owned-node.js'
import { PlacedChannels } from './placed-channels.js'

/** What {@link createOwnedClusterClient} needs to know. */
export interface OwnedClusterOptions {
  /** Nodes to ask for all the others; one that answers is enough. */
  readonly seeds: readonly { readonly host: string; readonly port: number }[]
  /** For the connection to each node, as for one server; `url`, `socket.host`, `socket.port` and `socket.path` have no effect. */
  readonly options: NodeRedisOptions
  /** Where it connects, for errors, without credentials. */
  readonly describe: string
  /** Default: the system's. */
  readonly clock?: Clock
}

/** The map is asked for no more often than this. */
const LOOK_EVERY_MS = 50
/** For the first map all primaries are waited for so long at most; less than the first request may take. */
const FIRST_OPENING_MS = 3_500
/** While there is no map, or a primary is away, it is looked for this often. */
const SEEK_EVERY_MS = 250

/** Makes a client that connects at its first use: at `connect`, `command` or `subscribe`. */
export function createOwnedClusterClient(options: OwnedClusterOptions): RedisClient {
  return new OwnedCluster(options)
}

class OwnedCluster implements RedisClient {
  readonly library = 'node-redis (own connections to a Cluster)'
  readonly wake = 'spublish'
  readonly isCluster = true
  readonly warnings = []
  private readonly clock: Clock
  private readonly nodes = new Map<string, OwnedNode>()
  private owners: Owners = []
  /** The primaries of the last map. */
  private present: OwnedNode[] = []
  private readonly map: ClusterMap
  private readonly plain: PlacedChannels
  private readonly sharded: PlacedChannels
  private readonly watchers = new Set<ConnectionListener>()
  private refreshing: Promise<void> | undefined
  private lookedAtMs = Number.NEGATIVE_INFINITY
  private timer: Timer | undefined
  private lastError: ClientError | undefined
  private holding = false
  private started = false
  private closed = false

  constructor(private readonly given: OwnedClusterOptions) {
    this.clock = given.clock ?? systemClock
    this.map = {
      primaryOf: (slot) => this.ownerOf(slot),
      nodeAt: (address) => (this.closed ? undefined : this.open(address)),
      primaries: () => this.present,
      refresh: () => this.refresh(),
    }
    const refresh = () => this.refresh()
    this.plain = new PlacedChannels(
      {
        homeOf: (_, present) => anyHome(this.map, present, (address) => this.nodes.get(address)?.isAway ?? true),
        subscribeAt: (address, channel, listener) => this.open(address).client.subscribe(channel, listener),
        refresh,
      },
      this.clock,
    )
    this.sharded = new PlacedChannels(
      {
        homeOf: (channel) => this.owners[slotOf(channel)],
        subscribeAt: (address, channel, listener) => this.open(address).client.subscribeSharded(channel, listener),
        refresh,
      },
      this.clock,
    )
  }

  /** While it knows where to send commands; a single node that is away makes the commands for it fail, and no others. */
  get isUp(): boolean {
    return !this.closed && this.present.some(({ isUp }) => isUp)
  }

  connect(): void {
    if (this.started || this.closed) return
    this.started = true
    void this.refresh()
  }

  reconnect(key?: string): void {
    const silent = key === undefined ? this.present : [this.ownerOf(slotOf(key))]
    for (const node of silent) node?.silence()
    void this.refresh()
  }

  command(args: readonly string[], key?: string): Promise<unknown> {
    if (this.closed || !this.isUp) {
      this.connect()
      return Promise.reject(this.reason)
    }
    return sendRouted(this.map, args, key)
  }

  primaries(): readonly NodeCommand[] {
    return commandsTo(this.map)
  }

  async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    await this.opened()
    return this.plain.subscribe(channel, listener)
  }

  async subscribeSharded(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    await this.opened()
    return this.sharded.subscribe(channel, listener)
  }

  watch(listener: ConnectionListener): () => void {
    this.watchers.add(listener)
    return () => void this.watchers.delete(listener)
  }

  keepProcessAlive(active: boolean): void {
    this.holding = active
    for (const node of this.nodes.values()) node.client.keepProcessAlive(active)
  }

  async close(): Promise<void> {
    this.closed = true
    this.timer?.cancel()
    this.watchers.clear()
    this.plain.close()
    this.sharded.close()
    for (const node of this.nodes.values()) node.close()
    this.nodes.clear()
    this.present = []
  }

  private get reason(): ClientError {
    if (this.closed) return new ClientError('CLOSED', `${this.given.describe}: the client was closed`)
    return this.lastError ?? new ClientError('CONNECTION', `${this.given.describe}: not connected yet`)
  }

  /** Resolves at once where it is up, or when the look at the map that is under way has made it so. */
  private async opened(): Promise<void> {
    if (!this.isUp && !this.closed) await this.refresh()
    if (!this.isUp) throw this.reason
  }

  private ownerOf(slot: number): OwnedNode | undefined {
    const address = this.owners[slot]
    return address === undefined ? undefined : this.nodes.get(address)
  }

  private open(address: string): OwnedNode {
    const present = this.nodes.get(address)
    if (present !== undefined) return present
    if (this.closed) throw this.reason
    const { options } = this.given
    const node = new OwnedNode(address, options, this.clock, {
      up: () => this.nodeUp(),
      down: (error) => this.nodeDown(error),
      misplaced: (channel) => this.sharded.misplaced(channel),
    })
    this.nodes.set(address, node)
    node.client.keepProcessAlive(this.holding)
    node.client.connect()
    return node
  }

  /** Claims of its names have failed meanwhile, and channels may have found no home: all are asked for again. */
  private nodeUp(): void {
    this.plain.check()
    this.sharded.check()
    if (this.isUp) for (const watcher of this.watchers) watcher.up()
  }

  private nodeDown(error: ClientError): void {
    this.lastError = error
    if (this.present.length > 0 && !this.isUp) this.tellDown()
    this.plain.check()
    void this.refresh()
  }

  private tellDown(): void {
    for (const watcher of this.watchers) watcher.down(this.reason)
  }

  private refresh(): Promise<void> {
    if (this.closed) return Promise.resolve()
    this.refreshing ??= this.look().finally(() => {
      this.refreshing = undefined
      if (!this.isUp) this.tellDown()
      this.seekLater()
    })
    return this.refreshing
  }

  /** Until every slot has an owner, and every owner is connected. */
  private seekLater(): void {
    if (this.closed || this.timer !== undefined) return
    if (this.present.length > 0 && this.present.every(({ isUp }) => isUp) && !this.owners.includes(undefined)) return
    this.timer = this.clock.after(SEEK_EVERY_MS, () => {
      this.timer = undefined
      void this.refresh()
    })
  }

  private async look(): Promise<void> {
    const pauseMs = this.lookedAtMs + LOOK_EVERY_MS - this.clock.now()
    if (pauseMs > 0) await new Promise<void>((resolve) => void this.clock.after(pauseMs, resolve))
    this.lookedAtMs = this.clock.now()
    const seeds = this.given.seeds.map(({ host, port }) => `${host}:${port}`)
    const asked = new Set([...this.present.filter(({ isUp }) => isUp).map(({ address }) => address), ...seeds])
    for (const address of asked) {
      if (this.closed) return
      const owners = await this.ask(this.open(address))
      if (owners !== undefined) return this.takeOver(owners)
    }
  }

  private async ask(node: OwnedNode): Promise<Owners | undefined> {
    try {
      return ownersIn(await node.ask(['CLUSTER', 'SLOTS']), hostOf(node.address))
    } catch (error) {
      this.lastError = error as ClientError
      return undefined
    }
  }

  /** Resolves when the primaries of the new map are connected, or failed to be. */
  private async takeOver(owners: Owners): Promise<void> {
    if (this.closed) return
    const changed = owners.some((owner, slot) => owner !== this.owners[slot])
    this.owners = owners
    const addresses = new Set(owners.filter((owner) => owner !== undefined))
    const primaries = [...addresses].map((address) => this.open(address))
    // At first nobody is kept waiting for other nodes, and all are better than some.
    const limitMs = this.present.length === 0 ? FIRST_OPENING_MS : undefined
    await Promise.all(primaries.map((node) => node.whenUp(limitMs).catch(() => {})))
    if (this.closed) return
    this.present = primaries
    for (const [address, node] of this.nodes) {
      if (addresses.has(address)) continue
      this.nodes.delete(address)
      node.close()
    }
    if (changed) this.nodeUp()
  }
}
