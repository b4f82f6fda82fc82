/**
 * The Redis engine: every operation is one script (`lua/batch.lua`), grants are pushed to inboxes. Redis or Valkey, version 6 or later.
 *
 * Where to look: `keys.ts` names keys and channels, `exchange.ts` sends and bounds requests, `inbox.ts` hears grants, `replies.ts` decodes.
 */

import type { NodeCommand, RedisClient } from '../../clients/client.js'
import { type Clock, systemClock } from '../../util/clock.js'
import {
  type ClaimReply,
  type ClaimRequest,
  type HolderRecord,
  type LockStore,
  type ReleaseOptions,
  type ReleaseReply,
  type RenewReply,
  type SessionListener,
  StoreFailure,
  type StoreFilter,
  type Successor,
  type WaiterRecord,
} from '../store.js'
import { type Confirmation, checkConfirmed, confirmationOf } from './confirmation.js'
import { Exchange } from './exchange.js'
import { Inbox, sessionOf } from './inbox.js'
import { Keyspace, typesOf } from './keys.js'
import * as replies from './replies.js'
import { type Protocol, scriptFor } from './script.js'

export interface RedisStoreOptions {
  client: RedisClient
  /** What every key and channel begins with. */
  prefix: string
  clock?: Clock
  /** Default 5,000; more than twice `checkEveryMs`, or a waiter whose wake-up was lost would lose its turn. */
  claimWindowMs?: number
  /** Default 2,000, or 200 where the client can't hear pushes and the check is all there is. */
  checkEveryMs?: number
  /** Default 10,000: a waiter without a sign of life for so long is dropped. */
  waiterLifeMs?: number
  /** How many operations travel in one call at most. Default 128. */
  batchLimit?: number | undefined
  /** For one of several independent servers: its memory as a voter, and the time in µs that is proposed to all of them. */
  voter?: { readonly key: string; propose(): number } | undefined
  /** Default `queue`. */
  protocol?: Protocol
}

/** Rounds of SCAN in one query: at 1,000 keys a round, the bound of what a query looks at. */
const SCAN_ROUNDS = 10_000

export class RedisStore implements LockStore {
  readonly claimWindowMs: number
  readonly checkEveryMs: number
  private readonly client: RedisClient
  private readonly clock: Clock
  private readonly keys: Keyspace
  private readonly exchange: Exchange
  private readonly inbox: Inbox
  private readonly voter: RedisStoreOptions['voter']
  private readonly warnings = new Map<string, string>()
  private readonly unwatch: () => void
  private inspected = false

  constructor(options: RedisStoreOptions) {
    const { protocol = 'queue' } = options
    this.client = options.client
    const pushes = protocol === 'queue' && this.client.wake !== 'none'
    this.clock = options.clock ?? systemClock
    this.keys = new Keyspace(options.prefix)
    this.claimWindowMs = options.claimWindowMs ?? 5_000
    this.checkEveryMs = options.checkEveryMs ?? (pushes ? 2_000 : 200)
    const script = scriptFor({
      inboxPrefix: this.keys.inboxPrefix,
      claimWindowMs: this.claimWindowMs,
      waiterLifeMs: options.waiterLifeMs ?? 10_000,
      // The version of 2013 knew no Cluster, where its keys would be elsewhere, and no majority.
      oldPrefix: this.client.isCluster || options.voter !== undefined ? undefined : options.prefix,
      protocol,
      voterKey: options.voter?.key,
    })
    this.voter = options.voter
    this.exchange = new Exchange(this.client, this.clock, script, options.batchLimit, (key, failure) => this.explainConflict(key, failure))
    this.inbox = new Inbox(this.client, this.clock, this.keys, this.exchange, pushes, (code, message) => this.warn(code, message))
    this.unwatch = this.client.watch({
      up: () => this.inbox.listeners.forEach((listener) => listener.restored()),
      down: (error) => this.inbox.listeners.forEach((listener) => listener.disconnected(error, this.client.follows === true)),
    })
  }

  get hasAnswered(): boolean {
    return this.exchange.hasAnswered
  }

  async listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    for (const [code, message] of this.warnings) listener.warning(code, message)
    for (const { code, message } of this.client.warnings) this.warn(code, message)
    const leave = await this.inbox.open(session, listener)
    void this.inspectServer()
    return leave
  }

  acquire(request: ClaimRequest): Promise<ClaimReply> {
    return this.claim(request, request.queue ? '1' : '0')
  }

  /** As `acquire` with a place in the queue; but a grant up to this token goes back to whoever is first in the queue. */
  yield(request: ClaimRequest, fencingToken: number): Promise<ClaimReply> {
    return this.claim(request, `2:${fencingToken}`)
  }

  /** Lets go of a grant up to this token, and asks for nothing. */
  leave(request: ClaimRequest, fencingToken: number): Promise<ClaimReply> {
    return this.claim(request, `3:${fencingToken}`)
  }

  private claim(request: ClaimRequest, queue: string): Promise<ClaimReply> {
    const { id, permits, limit, ttlMs, priority, ticket, info } = request
    const mode = request.mode === 'exclusive' ? 'x' : 'c'
    const wake = this.inbox.wakeOf(sessionOf(id), request.name)
    const text = `A ${id} ${mode} ${permits} ${limit} ${ttlMs} ${priority} ${ticket} ${queue} ${wake} ${info}`
    const confirmation = confirmationOf(request.minReplicas, ttlMs)
    const read = confirmation === undefined ? replies.claimReply : confirmedClaim(confirmation)
    const reply = this.send(request.name, text, read, confirmation)
    if (wake === 'c') void this.inbox.hearNearby(request, reply)
    return reply
  }

  renew(name: string, id: string, ttlMs: number, holder?: Successor, minReplicas?: number): Promise<RenewReply> {
    const text = holder === undefined ? `R ${id} ${ttlMs}` : `R ${id} ${ttlMs} ${holder.fencingToken} ${holder.info}`
    const confirmation = confirmationOf(minReplicas, ttlMs)
    const read = (answer: replies.Answer) => {
      const reply = replies.renewReply(answer, ttlMs)
      if (reply.status === 'held' && confirmation !== undefined) checkConfirmed(confirmation, answer.replicas, 'renewal')
      return reply
    }
    return this.send(name, text, read, confirmation)
  }

  release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const text = `L ${id} ${options?.keepMs ?? 0} ${options?.withdraw === true ? 1 : 0} ${options?.fencingToken ?? 0}`
    return this.send(name, text, replies.releaseReply)
  }

  forceRelease(name: string): Promise<number> {
    return this.send(name, 'F', replies.count)
  }

  async query(filter: StoreFilter): Promise<{ held: HolderRecord[]; pending: WaiterRecord[] }> {
    const names = filter.name === undefined ? await this.names(filter.prefix ?? '') : [filter.name]
    const found = await Promise.all(names.map((name) => this.inspect(name, filter.name === undefined)))
    return { held: found.flatMap((one) => one.held), pending: found.flatMap((one) => one.pending) }
  }

  async close(): Promise<void> {
    this.unwatch()
    this.inbox.close()
    this.exchange.close()
    await this.client.close()
  }

  /** One plain command, bounded as every request is. */
  command(args: readonly string[]): Promise<unknown> {
    return this.exchange.command(args)
  }

  private send<T>(name: string, text: string, read: (answer: replies.Answer) => T, confirmation?: Confirmation): Promise<T> {
    const proposed = this.voter === undefined ? text : `${this.voter.propose()} ${text}`
    return this.exchange.send(this.keys.stateKey(name), proposed, read, confirmation)
  }

  /** The server does not tell which of a name's keys holds what. */
  private async explainConflict(stateKey: string, failure: StoreFailure): Promise<StoreFailure> {
    for (const [key, needed] of typesOf(stateKey)) {
      // Without the right to ask, what the server said must do.
      const type = String(await this.exchange.command(['TYPE', key], key).catch(() => 'none'))
      if (type === 'none' || type === needed) continue
      return new StoreFailure('conflict', `${key} holds a ${type} that is not ours; a lock needs a ${needed} there`, failure)
    }
    return failure
  }

  private async inspect(name: string, isOneOfAll: boolean): Promise<{ held: HolderRecord[]; pending: WaiterRecord[] }> {
    try {
      return await this.send(name, 'Q', (answer) => replies.inspection(name, answer))
    } catch (error) {
      // Other data in the place of one name say nothing about the others.
      if (isOneOfAll && isConflict(error)) return { held: [], pending: [] }
      throw error
    }
  }

  /** The names under which there is state, found by SCAN. */
  private async names(namePrefix: string): Promise<string[]> {
    const nodes = await this.exchange.nodes()
    const keys = (await Promise.all(nodes.map((send) => this.scan(send, this.keys.pattern(namePrefix))))).flat()
    const names = keys.map((key) => this.keys.nameOf(key)).filter((name) => name?.startsWith(namePrefix))
    return [...new Set(names as string[])]
  }

  private async scan(send: NodeCommand, pattern: string): Promise<string[]> {
    const found: string[] = []
    let cursor = '0'
    for (let round = 0; round < SCAN_ROUNDS; round++) {
      const [next, keys] = (await send(['SCAN', cursor, 'MATCH', pattern, 'COUNT', '1000'])) as [unknown, unknown[]]
      for (const key of keys) found.push(String(key))
      cursor = String(next)
      if (cursor === '0') break
    }
    return found
  }

  /** Once: is this a server that throws keys away when memory is short? INFO tells where CONFIG is forbidden. */
  private async inspectServer(): Promise<void> {
    if (this.inspected) return
    this.inspected = true
    try {
      for (const send of await this.exchange.nodes()) {
        const memory = String(await send(['INFO', 'memory']))
        const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? 'noeviction'
        const limited = !/^maxmemory:0\s*$/m.test(memory)
        if (!limited || policy === 'noeviction') continue
        this.warn('EVICTION', `maxmemory-policy ${policy} may evict locks when memory is short; an evicted lock is lost. Use noeviction`)
      }
    } catch {
      // No right to ask, or no answer: the warning is a courtesy.
    }
  }

  private warn(code: string, message: string): void {
    if (this.warnings.get(code) === message) return
    this.warnings.set(code, message)
    for (const listener of this.inbox.listeners) listener.warning(code, message)
  }
}

/** A grant counts when so many replicas have it. */
function confirmedClaim(confirmation: Confirmation): (answer: replies.Answer) => ClaimReply {
  return (answer) => {
    const reply = replies.claimReply(answer)
    if (reply.status === 'granted') checkConfirmed(confirmation, answer.replicas, 'grant')
    return reply
  }
}

function isConflict(error: unknown): error is StoreFailure {
  return error instanceof StoreFailure && error.kind === 'conflict'
}
