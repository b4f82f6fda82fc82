/**
 * The engine for a list of nodes: which one that is, the nodes themselves say. They are asked at the first use; from then on all goes to the
 * engine that fits them. What they are is asked again when one of them behaves as if it had changed.
 */

import { ClientError, type RedisClient } from '../clients/client.js'
import { createOwnedClient, type OwnedRedisClient, secretsOf } from '../clients/owned.js'
import { createOwnedClusterClient } from '../clients/owned-cluster.js'
import { AmongNodes } from '../clients/topology/among-nodes.js'
import { type Asked, askAll, type NamedNode, type SetNode } from '../clients/topology/ask.js'
import { BySentinels } from '../clients/topology/by-sentinels.js'
import { decide, isUndecided, primaryOf, type Topology, type Undecided } from '../clients/topology/decide.js'
import { createFollowingClient } from '../clients/topology/following.js'
import type { Finder } from '../clients/topology/lookout.js'
import { Promoter } from '../clients/topology/promoter.js'
import { hostAndPort, type RedisTarget, targetAt, withoutAddress } from '../redis-options.js'
import { type Clock, systemClock } from '../util/clock.js'
import { majorityOf } from '../util/majority.js'
import { QuorumStore } from './quorum/quorum-store.js'
import { RedisStore } from './redis/redis-store.js'
import {
  type ClaimReply,
  type ClaimRequest,
  type HolderRecord,
  type LockStore,
  OptionFailure,
  type ReleaseOptions,
  type ReleaseReply,
  type RenewReply,
  type SessionListener,
  StoreFailure,
  type StoreFilter,
  type Successor,
  type WaiterRecord,
} from './store.js'

export interface NodesStoreOptions {
  /** The option that names the nodes, for errors. With `sentinels` they must be that, and one that answers is enough. */
  readonly option: 'nodes' | 'sentinels'
  readonly nodes: readonly RedisTarget[]
  /** What the sentinels call the primary; undefined: they watch over one only. */
  readonly sentinelName: string | undefined
  /** How to connect to a primary that sentinels name, but for its address. */
  readonly primary: RedisTarget
  /** Promote a replica when the primary was away for so long; undefined: never. */
  readonly promoteAfterMs: number | undefined
  readonly prefix: string
  readonly batchLimit: number | undefined
  readonly clock?: Clock
}

/** Until the nodes have said what they are; as the engines have it. */
const CLAIM_WINDOW_MS = 5_000
const CHECK_EVERY_MS = 2_000
const CONNECT_TIMEOUT_MS = 5_000
/** When enough is known, the others are waited for this long. */
const GRACE_MS = 250
/** What the nodes are is asked again no more often than this. */
const ASK_AGAIN_MS = 1_000

const WHAT: Record<Topology['kind'], string> = {
  single: 'a single server',
  quorum: 'independent servers',
  replicas: 'a primary and its replicas',
  sentinels: 'sentinels, which see to that',
  cluster: 'a Cluster, which sees to that',
}

interface Session {
  readonly listener: SessionListener
  leave: (() => Promise<void>) | undefined
}

/** An engine, and what the nodes were when it was made. */
interface Engine {
  readonly kind: Topology['kind']
  readonly store: LockStore
}

export class NodesStore implements LockStore {
  private readonly clock: Clock
  private readonly sessions = new Map<string, Session>()
  private engine: Engine | undefined
  private nodes: readonly NamedNode[]
  private opening: Promise<LockStore> | undefined
  /** An attempt came to nothing: whoever waits is told when one succeeds. */
  private failed = false
  private askingAgain = false
  private askedAgainAtMs = Number.NEGATIVE_INFINITY
  private closed = false

  constructor(private readonly options: NodesStoreOptions) {
    this.clock = options.clock ?? systemClock
    this.nodes = this.makeNodes()
  }

  get claimWindowMs(): number {
    return this.engine?.store.claimWindowMs ?? CLAIM_WINDOW_MS
  }

  get checkEveryMs(): number {
    return this.engine?.store.checkEveryMs ?? CHECK_EVERY_MS
  }

  get hasAnswered(): boolean {
    return this.engine?.store.hasAnswered ?? false
  }

  async listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    const entry: Session = { listener, leave: undefined }
    this.sessions.set(session, entry)
    const store = await this.open()
    const listening = store.listen(session, listener)
    // Another engine that took over meanwhile has been told of the session.
    const isCurrent = () => store === this.engine?.store || this.closed
    const leave = await listening.catch((error) => {
      if (isCurrent()) throw error
      return entry.leave
    })
    if (isCurrent()) entry.leave = leave
    return async () => {
      this.sessions.delete(session)
      await entry.leave?.()
    }
  }

  acquire(request: ClaimRequest): Promise<ClaimReply> {
    return this.carryOut((store) => store.acquire(request))
  }

  renew(name: string, id: string, ttlMs: number, holder?: Successor, minReplicas?: number): Promise<RenewReply> {
    return this.carryOut((store) => store.renew(name, id, ttlMs, holder, minReplicas))
  }

  release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    return this.carryOut((store) => store.release(name, id, options))
  }

  query(filter: StoreFilter): Promise<{ held: HolderRecord[]; pending: WaiterRecord[] }> {
    return this.carryOut((store) => store.query(filter))
  }

  forceRelease(name: string): Promise<number> {
    return this.carryOut((store) => store.forceRelease(name))
  }

  async close(): Promise<void> {
    this.closed = true
    // What is being asked settles with its connections.
    await Promise.all([this.engine?.store.close(), ...this.nodes.map(({ client }) => client.close())])
  }

  private carryOut<T>(request: (store: LockStore) => Promise<T>): Promise<T> {
    const { engine } = this
    if (engine === undefined) return this.open().then(request)
    if (engine.kind !== 'quorum') return request(engine.store)
    return request(engine.store).catch((error) => {
      // Another engine took over meanwhile, and this one was closed. Requests have ids: the same one twice does no harm.
      if (engine === this.engine || this.engine === undefined || this.closed) throw error
      return request(this.engine.store)
    })
  }

  /** The engine, as soon as the nodes have said what they are. One attempt at a time, whoever asks. */
  private open(): Promise<LockStore> {
    if (this.engine !== undefined) return Promise.resolve(this.engine.store)
    if (this.closed) return Promise.reject(closedFailure())
    this.opening ??= this.discover().then(
      (engine) => {
        this.opening = undefined
        this.engine = engine
        if (this.failed) this.tellRestored()
        return engine.store
      },
      (error) => {
        this.opening = undefined
        this.failed = true
        throw error
      },
    )
    return this.opening
  }

  private async discover(): Promise<Engine> {
    const { nodes } = this
    for (const { client } of nodes) client.keepProcessAlive(true)
    const topology = await this.ask(nodes).finally(() => {
      for (const { client } of nodes) client.keepProcessAlive(false)
    })
    if (this.closed) throw closedFailure()
    return this.makeEngine(nodes, this.check(topology))
  }

  private async ask(nodes: readonly NamedNode[]): Promise<Topology | Undecided> {
    const least = this.options.option === 'sentinels' ? 1 : majorityOf(nodes.length)
    const isEnough = (asked: readonly Asked[]) => {
      const found = decide(asked, least)
      return !isUndecided(found) && (found.kind !== 'replicas' || primaryOf(asked) !== -1)
    }
    const limits = this.options.nodes.map(({ options }) => (options.socket as { connectTimeout?: number } | undefined)?.connectTimeout)
    const limitMs = Math.max(...limits.map((limit) => limit ?? CONNECT_TIMEOUT_MS))
    const asked = await askAll(nodes, { limitMs, graceMs: GRACE_MS, clock: this.clock, enough: isEnough })
    const only = asked[0]?.answer
    // A single server that does not let us ask is taken as it is.
    if (asked.length === 1 && only instanceof ClientError && only.replyCode === 'NOPERM') return { kind: 'single' }
    return decide(asked, least)
  }

  /** @throws StoreFailure the nodes can't be locked on, or not now */
  private check(found: Topology | Undecided): Topology {
    const { option, sentinelName, promoteAfterMs } = this.options
    if (isUndecided(found)) {
      if (found.kind === 'contradiction') this.refuse(found.reason)
      throw new StoreFailure(found.kind, found.reason)
    }
    if (promoteAfterMs !== undefined && found.kind !== 'replicas') {
      throw new OptionFailure('failover', 'promote', `needs a primary and its replicas, and not ${WHAT[found.kind]}`)
    }
    if (found.kind !== 'sentinels') {
      if (option === 'sentinels') this.refuse('must name sentinels, and these are none')
      if (sentinelName === undefined) return found
      throw new OptionFailure('sentinelName', sentinelName, 'has no effect: the nodes are no sentinels')
    }
    const { watches } = found
    const known = `the sentinels watch over ${watches.join(', ') || 'none'}`
    if (sentinelName === undefined && watches.length !== 1) throw new OptionFailure('sentinelName', sentinelName, `must be given: ${known}`)
    if (sentinelName !== undefined && !watches.includes(sentinelName)) {
      throw new OptionFailure('sentinelName', sentinelName, `must be one that they know: ${known}`)
    }
    return found
  }

  private refuse(reason: string): never {
    const addresses = this.nodes.map(({ describe }) => describe)
    throw new OptionFailure(this.options.option, addresses, reason)
  }

  private makeEngine(nodes: readonly NamedNode[], topology: Topology): Engine {
    const { kind } = topology
    const { prefix, batchLimit, sentinelName, primary, nodes: targets } = this.options
    const { clock } = this
    switch (kind) {
      case 'single':
        return { kind, store: new RedisStore({ client: (nodes[0] as NamedNode).client, prefix, batchLimit, clock }) }
      case 'quorum':
        return { kind, store: new QuorumStore({ nodes, prefix, batchLimit, clock }) }
      case 'replicas': {
        const set = nodes.map((node, i) => ({ ...node, target: targets[i] as RedisTarget }))
        return { kind, store: this.follow(new AmongNodes(set, clock, this.makePromoter(set)), targets) }
      }
      case 'sentinels': {
        const [name] = sentinelName === undefined ? topology.watches : [sentinelName]
        const at = (host: string, port: number) => targetAt(primary, host, port)
        const finder = new BySentinels({ sentinels: nodes, name: name as string, targetAt: at }, clock)
        return { kind, store: this.follow(finder, [...targets, primary]) }
      }
      case 'cluster':
        return { kind, store: new RedisStore({ client: this.clusterClient(nodes), prefix, batchLimit, clock }) }
    }
  }

  private clusterClient(nodes: readonly NamedNode[]): RedisClient {
    // It makes connections of its own, to those nodes that have the locks.
    for (const { client } of nodes) void client.close()
    const [target] = this.options.nodes as [RedisTarget]
    const seeds = nodes.flatMap(({ describe }) => hostAndPort(describe) ?? [])
    const describe = nodes.map((node) => node.describe).join(', ')
    return createOwnedClusterClient({ seeds, options: withoutAddress(target), describe, clock: this.clock })
  }

  private follow(finder: Finder, targets: readonly RedisTarget[]): RedisStore {
    const { prefix, batchLimit } = this.options
    const { clock } = this
    const secrets = targets.flatMap(({ options }) => secretsOf(options))
    const { options } = targets.at(-1) as RedisTarget
    const client = createFollowingClient({ finder, options, secrets, doubtAfterMs: this.options.promoteAfterMs, clock })
    return new RedisStore({ client, prefix, batchLimit, clock })
  }

  private makePromoter(nodes: readonly SetNode[]): Promoter | undefined {
    const { promoteAfterMs: afterMs, prefix } = this.options
    if (afterMs === undefined) return undefined
    const tell = (message: string) => this.warn('FAILOVER', message)
    return new Promoter({ nodes, channel: `${prefix}promoter`, afterMs, clock: this.clock, tell })
  }

  private makeNodes(): NamedNode[] {
    return this.options.nodes.map(({ options, describe }) => {
      const client: OwnedRedisClient = createOwnedClient({
        options,
        describe,
        clock: this.clock,
        lookAgain: () => this.askAgain(),
      })
      let wasUp = false
      client.watch({
        up: () => {
          // Another server may be behind the address now.
          if (this.engine?.kind === 'quorum' && wasUp) this.askAgain()
          else if (this.engine === undefined && this.failed) this.open().catch(() => {})
          wasUp = true
        },
        down: () => {},
      })
      return { client, describe }
    })
  }

  /** Is it still the same engine that fits? A list that makes no sense any more is warned of; what it did before goes on until it does. */
  private askAgain(): void {
    const nowMs = this.clock.now()
    const { engine } = this
    if (engine === undefined || this.closed || this.askingAgain || nowMs < this.askedAgainAtMs + ASK_AGAIN_MS) return
    this.askingAgain = true
    this.askedAgainAtMs = nowMs
    const nodes = this.makeNodes()
    this.lookAgain(engine, nodes)
      // Whatever came of it, the engine that there is goes on; the next sign of a change is heeded again.
      .catch((error) => this.warn('NODES', `the nodes could not be asked again: ${error.message}`))
      .finally(() => {
        this.askingAgain = false
      })
  }

  private async lookAgain(engine: Engine, nodes: readonly NamedNode[]): Promise<void> {
    const topology = this.changed(engine, await this.ask(nodes))
    if (topology !== undefined) await this.replace(engine, nodes, topology)
    else await Promise.all(nodes.map(({ client }) => client.close()))
  }

  /** What the nodes have become; undefined while they are what the engine was made for, or nothing that makes sense. */
  private changed(engine: Engine, found: Topology | Undecided): Topology | undefined {
    if (this.closed || engine !== this.engine || found.kind === engine.kind) return undefined
    try {
      // At the start they would be taken for former primaries. Here they are voters.
      if (found.kind === 'replicas' && found.strangers !== undefined) this.refuse(found.strangers)
      return this.check(found)
    } catch (error) {
      if (error instanceof OptionFailure) this.warn('NODES', error.message)
      return undefined
    }
  }

  private async replace(former: Engine, nodes: readonly NamedNode[], topology: Topology): Promise<void> {
    this.warn('NODES', `the nodes are not what they were: ${former.kind} became ${topology.kind}`)
    this.nodes = nodes
    this.engine = this.makeEngine(nodes, topology)
    const { store } = this.engine
    await former.store.close()
    await Promise.allSettled(
      Array.from(this.sessions, async ([session, entry]) => {
        entry.leave = await store.listen(session, entry.listener)
      }),
    )
    this.tellRestored()
  }

  private tellRestored(): void {
    for (const { listener } of this.sessions.values()) listener.restored()
  }

  private warn(code: string, message: string): void {
    for (const { listener } of this.sessions.values()) listener.warning(code, message)
  }
}

function closedFailure(): StoreFailure {
  return new StoreFailure('refused', 'the store was closed')
}
