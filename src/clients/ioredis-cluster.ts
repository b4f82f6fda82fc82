/**
 * The port to a caller's ioredis Cluster, of version 5 or 6, or iovalkey's. It looks at the library's map of slots and sends commands to its
 * clients of single nodes, so that a command goes where the key is and is never sent twice. Messages come over connections of our own to
 * single nodes: what these libraries make of sharded channels on a Cluster works with few of their versions and settings.
 */

import { type Clock, systemClock, type Timer } from '../util/clock.js'
import { CallerCluster } from './caller-cluster.js'
import { ClientError, type ClientWarning } from './client.js'
import type { ClusterMap, ClusterNode } from './cluster-map.js'
import type { Wire, WireEvents } from './connection.js'
import { keyPrefixWarning } from './ioredis.js'
import { type IoredisClient, IoredisWire } from './ioredis-wire.js'

/** The part of an ioredis Cluster that is used here. */
export interface IoredisCluster {
  readonly status: string
  readonly options: { readonly keyPrefix?: string }
  /** For each slot the nodes that have it, as `host:port`, the primary first. */
  readonly slots: readonly (readonly string[] | undefined)[]
  nodes(role: 'master'): readonly NodeClient[]
  connect(): Promise<unknown>
  refreshSlotsCache(done: (error?: unknown) => void): void
  on(event: string, listener: (...args: never[]) => void): unknown
  removeListener(event: string, listener: (...args: never[]) => void): unknown
}

type NodeClient = IoredisClient & { readonly options: { readonly host?: string; readonly port?: number } }

/** The map is looked at this often while a node is away; by itself the library does so every five seconds. */
const LOOK_EVERY_MS = 250

export class IoredisClusterPort extends CallerCluster {
  readonly library = 'ioredis cluster'
  override readonly warnings: readonly ClientWarning[]
  protected readonly map: ClusterMap
  private readonly nodes = new WeakMap<NodeClient, Node>()
  private refreshing: Promise<void> | undefined
  private timer: Timer | undefined
  /** Who has which slots, as it was when we last told of it. */
  private known = ''

  constructor(
    private readonly cluster: IoredisCluster,
    private readonly clock: Clock = systemClock,
  ) {
    super(cluster)
    this.warnings = keyPrefixWarning(cluster.options.keyPrefix)
    this.map = {
      primaryOf: (slot) => this.nodeAt(cluster.slots[slot]?.[0]),
      nodeAt: (address) => this.nodeAt(address),
      primaries: () => cluster.nodes('master').map((client) => this.nodeOf(client)),
      refresh: () => this.refresh(),
    }
    this.listen('ready', () => this.looked())
    this.listen('refresh', () => this.looked())
    this.listen('+node', () => this.lookLater())
    this.listen('-node', () => this.lookLater())
    this.listen('node error', (error: unknown) => {
      this.lastError = error
      this.lookLater()
    })
    this.listen('close', () => this.tellDown())
    this.listen('end', () => this.tellDown())
    this.known = this.owners()
  }

  get isUp(): boolean {
    return !this.closed && this.cluster.status === 'ready' && this.map.primaries().some(({ isUp }) => isUp)
  }

  /** A Cluster made with `lazyConnect` connects at its first command; asking for a lock is that. */
  override connect(): void {
    if (this.cluster.status === 'wait') this.cluster.connect().catch(() => {})
    else super.connect()
  }

  override async close(): Promise<void> {
    this.timer?.cancel()
    await super.close()
  }

  protected get isOver(): boolean {
    return this.cluster.status === 'end'
  }

  protected wireTo(address: string, events: WireEvents, attemptMs: number): Wire {
    const client = this.clientAt(address)
    if (client === undefined) throw new ClientError('CONNECTION', `${address} is no node of the Cluster any more`)
    return new IoredisWire(client, events, attemptMs)
  }

  private clientAt(address: string): NodeClient | undefined {
    return this.cluster.nodes('master').find((client) => addressOf(client) === address)
  }

  private nodeAt(address: string | undefined): Node | undefined {
    const client = address === undefined ? undefined : this.clientAt(address)
    return client === undefined ? undefined : this.nodeOf(client)
  }

  private nodeOf(client: NodeClient): Node {
    let found = this.nodes.get(client)
    if (found === undefined) this.nodes.set(client, (found = new Node(client)))
    return found
  }

  /** Never rejects; the library tells of a new map by its event. */
  private refresh(): Promise<void> {
    this.refreshing ??= new Promise<void>((resolve) => this.cluster.refreshSlotsCache(() => resolve())).finally(() => {
      this.refreshing = undefined
    })
    return this.refreshing
  }

  /** The library looked at the map. It does so all the time, and claims are asked for again only after a change. */
  private looked(): void {
    const owners = this.owners()
    if (owners !== this.known) {
      this.known = owners
      this.mapChanged()
    }
    if (this.isWhole()) return
    this.lookLater()
  }

  private lookLater(): void {
    if (this.closed || this.timer !== undefined || this.cluster.status !== 'ready') return
    this.timer = this.clock.after(LOOK_EVERY_MS, () => {
      this.timer = undefined
      void this.refresh().then(() => this.looked())
    })
  }

  private isWhole(): boolean {
    const { slots } = this.cluster
    const up = new Set(this.map.primaries().map(({ address }) => address))
    return slots.every((nodes) => nodes?.[0] === undefined || up.has(nodes[0]))
  }

  private owners(): string {
    let text = this.cluster.status
    let last: string | undefined
    for (const [slot, nodes] of this.cluster.slots.entries()) {
      if (nodes?.[0] === last) continue
      last = nodes?.[0]
      text += ` ${slot}=${last}`
    }
    return text + [...this.map.primaries()].map(({ address }) => ` ${address}`).sort()
  }
}

function addressOf({ options }: NodeClient): string {
  return `${options.host ?? '127.0.0.1'}:${options.port ?? 6379}`
}

class Node implements ClusterNode {
  readonly address: string

  constructor(private readonly client: NodeClient) {
    this.address = addressOf(client)
  }

  /** One that connects does so once, for its first command, and is thrown away when it can't: what waits for it is not sent later. */
  get isUp(): boolean {
    return ['wait', 'connecting', 'connect', 'ready'].includes(this.client.status)
  }

  send(args: readonly string[]): Promise<unknown> {
    return this.client.call(...(args as [string, ...string[]]))
  }
}
