/**
 * The port to a caller's node-redis cluster, of version 4, 5 or 6. It looks at the library's map of slots and sends commands to its clients of
 * single nodes, which are alike in all versions. A node that is not connected is sent nothing: the library's queue would carry the command
 * out after whoever sent it gave up.
 *
 * Versions 4 and 5 look for another map only when a node redirects them, so that they never learn of a primary that died. This port asks the
 * Cluster itself, and when the library is behind, has it redirected.
 */

import { type Clock, systemClock, type Timer } from '../util/clock.js'
import { CallerCluster } from './caller-cluster.js'
import { ClientError } from './client.js'
import { type ClusterMap, type ClusterNode, SLOTS, slotOf } from './cluster-map.js'
import { hostOf, type Owners, ownersIn } from './cluster-slots.js'
import type { Wire, WireEvents } from './connection.js'
import { type NodeRedisClient, NodeRedisWire, wireOptions } from './node-redis-wire.js'

/** A node as the library has it; without a client until it is first needed, where `minimizeConnections` is set. */
interface LibraryNode {
  readonly address: string
  /** In version 4 a promise while it is being made. */
  readonly client?: NodeRedisClient | Promise<NodeRedisClient>
}

/** The part of a node-redis cluster that is used here. */
export interface NodeRedisCluster {
  readonly isOpen: boolean
  /** Since version 5 a client is a view of the real one, which emits the events. */
  readonly _self?: NodeRedisCluster
  readonly slots: readonly ({ readonly master: LibraryNode } | undefined)[]
  readonly masters: readonly LibraryNode[]
  readonly nodeByAddress: ReadonlyMap<string, LibraryNode>
  nodeClient(node: LibraryNode): NodeRedisClient | Promise<NodeRedisClient>
  sendCommand(firstKey: string | undefined, isReadonly: boolean, args: readonly string[], options?: object): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  removeListener(event: string, listener: (...args: never[]) => void): unknown
}

/** As for a client of one server. */
const COMMAND_OPTIONS = Object.freeze({ timeout: 0, typeMapping: Object.freeze({}), abortSignal: undefined, asap: false })

/** The map is looked at this often while a node is away. */
const LOOK_EVERY_MS = 250
/** A question that a node does not answer in this time is given up. */
const ANSWER_MS = 500
/** A node that is being connected to is waited for, so long at most. */
const OPENING_MS = 1_000
/** The library is sent to a random node, which may be the one that died: so often it is tried. */
const MOST_NUDGES = 4

export class NodeRedisClusterPort extends CallerCluster {
  readonly library = 'node-redis cluster'
  protected readonly map: ClusterMap
  private wasOpen: boolean
  private refreshing: Promise<void> | undefined
  private timer: Timer | undefined
  private readonly nodes = new WeakMap<LibraryNode, Node>()

  constructor(
    private readonly cluster: NodeRedisCluster,
    private readonly clock: Clock = systemClock,
  ) {
    super(cluster._self ?? cluster)
    this.map = {
      primaryOf: (slot) => this.nodeOf(cluster.slots[slot]?.master),
      nodeAt: (address) => this.nodeOf(cluster.nodeByAddress.get(address)),
      primaries: () => cluster.masters.map((node) => this.nodeOf(node) as Node),
      refresh: () => this.refresh(),
    }
    this.wasOpen = cluster.isOpen
    this.listen('connect', () => {
      this.wasOpen = true
      this.mapChanged()
    })
    this.listen('node-ready', () => this.mapChanged())
    this.listen('node-error', () => this.nodeLost())
    // Version 4 tells of its nodes in this way.
    this.listen('error', (error: unknown) => {
      this.lastError = error
      this.nodeLost()
    })
    this.listen('disconnect', () => this.tellDown())
  }

  get isUp(): boolean {
    return !this.closed && this.cluster.isOpen && this.map.primaries().some(({ isUp }) => isUp)
  }

  override connect(): void {
    // Version 4 does not tell when it is connected.
    if (this.cluster.isOpen) this.lookLater()
    else this.tellDown()
  }

  override async close(): Promise<void> {
    this.timer?.cancel()
    await super.close()
  }

  protected get isOver(): boolean {
    return this.wasOpen && !this.cluster.isOpen
  }

  protected override get reason(): ClientError {
    if (this.closed || this.wasOpen || this.cluster.isOpen || this.lastError !== undefined) return super.reason
    return new ClientError('CONNECTION', 'the client is not connected: call its connect(), which this library leaves to its owner')
  }

  protected async wireTo(address: string, events: WireEvents, attemptMs: number): Promise<Wire> {
    const node = this.cluster.nodeByAddress.get(address)
    if (node === undefined) throw new ClientError('CONNECTION', `${address} is no node of the Cluster any more`)
    // A client that is not connected can be duplicated as well; waiting for it might last for ever.
    const client = await (node.client ?? this.cluster.nodeClient(node))
    return new NodeRedisWire(client.duplicate(wireOptions(client.options?.socket, attemptMs)), events)
  }

  private nodeOf(node: LibraryNode | undefined): Node | undefined {
    if (node === undefined) return undefined
    let found = this.nodes.get(node)
    if (found === undefined) this.nodes.set(node, (found = new Node(node, this.cluster, this.clock)))
    return found
  }

  private nodeLost(): void {
    if (this.closed) return
    this.wasOpen ||= this.cluster.isOpen
    if (!this.isUp) this.tellDown()
    this.lookLater()
  }

  /** Until every primary is there again, or another in its place. */
  private lookLater(): void {
    if (this.closed || this.timer !== undefined || !this.cluster.isOpen) return
    this.timer = this.clock.after(LOOK_EVERY_MS, () => {
      this.timer = undefined
      void this.refresh().then(() => {
        if (this.map.primaries().some(({ isUp }) => !isUp)) this.lookLater()
        else this.mapChanged()
      })
    })
  }

  private refresh(): Promise<void> {
    this.refreshing ??= this.look().finally(() => {
      this.refreshing = undefined
    })
    return this.refreshing
  }

  private async look(): Promise<void> {
    const owners = await this.askOwners()
    if (owners === undefined) return
    for (let nudge = 0; nudge < MOST_NUDGES && !this.closed && this.cluster.isOpen; nudge++) {
      const key = this.keyThatMoved(owners)
      if (key === undefined) return nudge > 0 ? this.mapChanged() : undefined
      // Any node but the owner redirects it, and then it makes its map anew. Where it goes to a node that is gone, it stays unanswered.
      await this.inTime(this.cluster.sendCommand(undefined, true, ['TYPE', key], COMMAND_OPTIONS))
    }
  }

  /** What the Cluster says, whoever answers. */
  private async askOwners(): Promise<Owners | undefined> {
    for (const node of this.map.primaries()) {
      if (!node.isUp) continue
      const reply = await this.inTime(node.send(['CLUSTER', 'SLOTS']))
      const owners = ownersIn(reply, hostOf(node.address))
      if (owners !== undefined) return owners
    }
    return undefined
  }

  /** A key of which the library does not know the owner. */
  private keyThatMoved(owners: Owners): string | undefined {
    const moved = owners.map((owner, slot) => owner !== undefined && this.cluster.slots[slot]?.master.address !== owner)
    if (!moved.includes(true)) return undefined
    for (let i = 0; i < 20 * SLOTS; i++) if (moved[slotOf(`${i}`)]) return `${i}`
    return undefined
  }

  /** Undefined when it fails, or is not answered in time. */
  private async inTime(request: Promise<unknown>): Promise<unknown> {
    let timer: Timer | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = this.clock.after(ANSWER_MS, () => resolve(undefined))
    })
    return Promise.race([request.catch(() => undefined), late]).finally(() => timer?.cancel())
  }
}

class Node implements ClusterNode {
  /** Until the client that the first command needed is there, or has taken too long. */
  private opening: Promise<unknown> | undefined

  constructor(
    private readonly node: LibraryNode,
    private readonly cluster: NodeRedisCluster,
    private readonly clock: Clock,
  ) {}

  get address(): string {
    return this.node.address
  }

  get isUp(): boolean {
    // One that is not there yet is made by the first command.
    return this.node.client === undefined || this.opening !== undefined || this.ready !== undefined
  }

  send(args: readonly string[]): Promise<unknown> {
    return this.ready?.sendCommand(args, COMMAND_OPTIONS) ?? this.sendFirst(args)
  }

  private get ready(): NodeRedisClient | undefined {
    const { client } = this.node
    return client !== undefined && 'isReady' in client && client.isReady ? client : undefined
  }

  private async sendFirst(args: readonly string[]): Promise<unknown> {
    this.opening ??= this.open().finally(() => {
      this.opening = undefined
    })
    await this.opening
    if (this.ready === undefined) throw new ClientError('CONNECTION', `${this.address}: not connected`)
    return this.ready.sendCommand(args, COMMAND_OPTIONS)
  }

  private async open(): Promise<unknown> {
    let timer: Timer | undefined
    const late = new Promise((resolve) => {
      timer = this.clock.after(OPENING_MS, () => resolve(undefined))
    })
    return Promise.race([this.cluster.nodeClient(this.node), late]).finally(() => timer?.cancel())
  }
}
