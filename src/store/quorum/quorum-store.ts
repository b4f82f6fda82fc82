/**
 * The engine for several independent servers: what a majority of them says holds. Each runs the same scripts as a single one does.
 *
 * It goes back to Redlock ("Distributed Locks with Redis", redis.io), and adds a queue on every server, pushed wake-ups and fencing tokens that
 * grow. Where to look: `election.ts` puts a claim to all servers, `ballot.ts` says what their answers come to, `electorate.ts` which servers may
 * vote, `voter.ts` talks to one of them, `poll.ts` asks all of them one question.
 */

import type { RedisClient } from '../../clients/client.js'
import { type Clock, systemClock } from '../../util/clock.js'
import { majorityOf } from '../../util/majority.js'
import { letGo } from '../let-go.js'
import { voterKey } from '../redis/voter-memory.js'
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
} from '../store.js'
import { Election } from './election.js'
import { Electorate } from './electorate.js'
import { HybridClock } from './hybrid-clock.js'
import { merge } from './overview.js'
import { poll } from './poll.js'
import { Voter, type VoterOptions } from './voter.js'

export interface QuorumStoreOptions extends Omit<VoterOptions, 'client' | 'describe' | 'memoryKey' | 'clock'> {
  /** The servers: at least two, three or more if one is to be allowed to fail. */
  readonly nodes: readonly { readonly client: RedisClient; readonly describe: string }[]
  readonly clock?: Clock
}

/** So long a server may take to listen once a majority does. */
const LISTEN_GRACE_MS = 100

/** And so long to let go of a lock that a majority has let go of. */
const RELEASE_GRACE_MS = 20

interface Renewal {
  readonly name: string
  readonly id: string
  readonly ttlMs: number
  readonly holder: Successor | undefined
}

export class QuorumStore implements LockStore {
  readonly claimWindowMs: number
  readonly checkEveryMs: number
  private readonly clock: Clock
  private readonly voters: readonly Voter[]
  private readonly majority: number
  private readonly electorate: Electorate
  private readonly election: Election
  private readonly proposals = new HybridClock()
  private readonly listeners = new Map<string, SessionListener>()
  private readonly unwatch: (() => void)[]
  private closed = false

  constructor(options: QuorumStoreOptions) {
    const { nodes, clock = systemClock, prefix } = options
    const memoryKey = voterKey(prefix)
    this.clock = clock
    this.electorate = new Electorate(memoryKey, clock)
    const admit = (voter: Voter) => this.electorate.admit(voter)
    this.voters = nodes.map((node) => new Voter({ ...options, ...node, clock, memoryKey }, admit))
    this.electorate.voters = this.voters
    this.majority = majorityOf(nodes.length)
    const [{ store }] = this.voters as [Voter]
    this.claimWindowMs = store.claimWindowMs
    this.checkEveryMs = store.checkEveryMs
    this.election = new Election(
      this.voters,
      clock,
      this.proposals,
      (id, grant) => this.listenerOf(id)?.granted(id, grant),
      (index, { name, id, ttlMs }, isKnown) => this.giveBack(index, name, id, ttlMs, { withdraw: !isKnown }),
      (failure) => this.listeners.forEach((listener) => listener.disconnected(failure, false)),
    )
    this.unwatch = nodes.map(({ client }) => client.watch({ up: () => this.onUp(), down: (error) => this.onDown(error) }))
  }

  get hasAnswered(): boolean {
    return this.voters.filter(({ store }) => store.hasAnswered).length >= this.majority
  }

  async listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    this.listeners.set(session, listener)
    // A claim that came before the others listen would not be told of their grants.
    await poll(
      this.voters,
      (voter, index) => voter.listen(session, this.ear(index, voter, listener)).then(() => true),
      (returns) => returns.answered >= this.majority || undefined,
      { clock: this.clock, graceMs: LISTEN_GRACE_MS },
    )
    return async () => {
      this.listeners.delete(session)
      await Promise.allSettled(this.voters.map((voter) => voter.leave(session)))
    }
  }

  async acquire(request: ClaimRequest): Promise<ClaimReply> {
    if (request.mode === 'counted' && request.limit > 1) {
      const reason = `must be 1 on several independent servers: of ${request.limit} permits each server would grant as many, to different holders`
      throw new OptionFailure('limit', request.limit, reason)
    }
    refuseReplicas(request.minReplicas)
    const announced = this.electorate.announce(request.ttlMs)
    if (announced !== undefined) await announced
    return this.election.stand(request)
  }

  async renew(name: string, id: string, ttlMs: number, holder?: Successor, minReplicas?: number): Promise<RenewReply> {
    refuseReplicas(minReplicas)
    await this.electorate.announce(ttlMs)
    const proposedUs = this.proposals.next()
    const replies: (RenewReply['status'] | undefined)[] = []
    let verdict: RenewReply['status'] | undefined
    const candidacy = this.election.get(id)
    candidacy?.hints.clear()
    const reply = await poll<Voter, RenewReply, RenewReply>(
      this.voters,
      async (voter, index) => {
        const reply = await voter.ask(proposedUs, (store) => store.renew(name, id, ttlMs, holder))
        replies[index] = reply.status
        if (reply.status === 'held') {
          candidacy?.ballot.renew(index, holder?.fencingToken ?? 0, reply.validUntilMs)
          candidacy?.missing.delete(index)
        } else {
          candidacy?.ballot.fail(index)
        }
        if (verdict !== undefined) this.reconcile(index, verdict, reply.status, { name, id, ttlMs, holder })
        return reply
      },
      (returns) => {
        const held = returns.values.filter((one) => one?.status === 'held')
        if (held.length >= this.majority) return { status: 'held', validUntilMs: until(held, this.majority) }
        const lost = returns.number(({ status }) => status === 'lost')
        return this.voters.length - lost < this.majority ? { status: 'lost' } : undefined
      },
    )
    verdict = reply.status
    for (const [index, status] of replies.entries()) this.reconcile(index, verdict, status, { name, id, ttlMs, holder })
    if (verdict === 'lost') this.election.end(id)
    else if (candidacy !== undefined) this.election.touch(candidacy)
    return reply
  }

  async release(name: string, id: string, options: ReleaseOptions = {}): Promise<ReleaseReply> {
    if (this.closed) throw new StoreFailure('refused', 'the store was closed')
    // It only waits.
    const candidacy = this.election.get(id)
    if (candidacy !== undefined && candidacy.told === undefined && options.withdraw !== true) return { status: 'absent' }
    const ballot = this.election.end(id)?.ballot
    const proposedUs = this.proposals.next()
    const ttlMs = ballot?.request.ttlMs ?? this.claimWindowMs
    const replies: (ReleaseReply | undefined)[] = []
    const reply = await poll<Voter, ReleaseReply, ReleaseReply>(
      this.voters,
      async (voter, index) => {
        if (ballot !== undefined && !ballot.sent[index]) return { status: 'absent' }
        // A place in the queue, and a request that may still arrive, are taken back as well.
        const withdraw = options.withdraw === true || (ballot !== undefined && !ballot.isGrantedBy(index))
        const each = { ...options, withdraw }
        try {
          replies[index] = await voter.ask(proposedUs, (store) => store.release(name, id, each))
          return replies[index]
        } catch (error) {
          void this.giveBack(index, name, id, ttlMs, each)
          throw error
        } finally {
          // The first took the grant; one that finds nothing leaves word for a request that comes late.
          if (ballot?.stray[index]) void this.giveBack(index, name, id, ttlMs, { withdraw: true })
        }
      },
      (returns) => {
        const released = returns.number(({ status }) => status === 'released')
        if (released >= this.majority) return { status: 'released' }
        if (returns.open > 0 || returns.number() < this.majority) return undefined
        // It was held if a majority did, of which some may have gone.
        return { status: released > 0 && released + returns.failed >= this.majority ? 'released' : 'absent' }
      },
      // Whoever comes next should not find it taken on one of them.
      { clock: this.clock, graceMs: RELEASE_GRACE_MS },
    )
    if (ballot === undefined && reply.status === 'released' && options.withdraw !== true) {
      // Another process's, which was restored here: where it had a place only, that goes too.
      for (const index of this.voters.keys()) {
        if (replies[index]?.status !== 'released') void this.giveBack(index, name, id, ttlMs, { withdraw: true })
      }
    }
    return reply
  }

  query(filter: StoreFilter): Promise<{ held: HolderRecord[]; pending: WaiterRecord[] }> {
    const proposedUs = this.proposals.next()
    return this.whole(
      (voter) => voter.ask(proposedUs, (store) => store.query(filter)),
      (views) => merge(views, this.majority),
    )
  }

  forceRelease(name: string): Promise<number> {
    const proposedUs = this.proposals.next()
    return this.whole(
      (voter) => voter.ask(proposedUs, (store) => store.forceRelease(name)),
      // What few servers had was no lock.
      (removed) => removed.sort((a, b) => b - a)[this.majority - 1] as number,
    )
  }

  async close(): Promise<void> {
    this.closed = true
    for (const unwatch of this.unwatch) unwatch()
    this.election.close()
    await Promise.all(this.voters.map((voter) => voter.close()))
  }

  /** For people, who want to know what is: waits for every server that can be expected to answer. */
  private whole<T, R>(ask: (voter: Voter) => Promise<T>, meaning: (values: T[]) => R): Promise<R> {
    return poll(this.voters, ask, (returns) => {
      if (returns.open > 0 || returns.number() < this.majority) return undefined
      return meaning(returns.values.filter((value) => value !== undefined))
    })
  }

  /** One server's answer to a renewal against the majority's: it is to have what they have, and nothing that they have not. */
  private reconcile(index: number, verdict: RenewReply['status'], status: RenewReply['status'] | undefined, renewal: Renewal): void {
    if (status === undefined || status === verdict) return
    const { name, id, ttlMs, holder } = renewal
    if (verdict === 'lost') return void this.giveBack(index, name, id, ttlMs, {})
    const candidacy = this.election.get(id)
    // Only a real renewal: 1 ms merely asks.
    if (candidacy?.told === undefined || ttlMs === 1) return
    // At the second in a row: another process, which restored the lock, may be releasing it at this moment.
    if (!candidacy.missing.has(index)) return void candidacy.missing.add(index)
    const { request, ticket } = candidacy.ballot
    this.join(index, { ...request, ttlMs, ticket, queue: false, info: holder?.info ?? request.info })
  }

  /** A lock that a majority has may be had by one server more: it does so if nobody else has it there. */
  private join(index: number, request: ClaimRequest): void {
    const { id, name, ttlMs } = request
    const takeBack = (isKnown: boolean) => void this.giveBack(index, name, id, ttlMs, { withdraw: !isKnown })
    ;(this.voters[index] as Voter)
      .ask(this.proposals.next(), (store) => store.acquire(request))
      .then(
        (reply) => {
          if (reply.status !== 'granted') return
          const candidacy = this.election.get(id)
          if (candidacy === undefined) takeBack(true)
          else candidacy.ballot.answer(index, reply, 0)
        },
        () => {
          if (this.election.get(id) === undefined) takeBack(false)
        },
      )
  }

  /** In the background, until the server answers or the lease is over. */
  private async giveBack(index: number, name: string, id: string, ttlMs: number, options: ReleaseOptions): Promise<void> {
    if (this.closed) return
    const voter = this.voters[index] as Voter
    const asked = {
      release: () => {
        if (this.closed) return Promise.reject(new StoreFailure('refused', 'the store was closed'))
        return voter.ask(this.proposals.next(), (store) => store.release(name, id, options))
      },
    }
    const untilMs = this.clock.now() + Math.max(ttlMs, this.claimWindowMs)
    // It refuses: what it has of this claim ends by itself.
    await letGo(asked, this.clock, name, id, untilMs).catch(() => undefined)
  }

  /** What one server tells a session. */
  private ear(index: number, { describe }: Voter, listener: SessionListener): SessionListener {
    return {
      granted: (id, grant) => {
        if (!this.election.push(index, id, grant)) listener.granted(id, grant)
      },
      changed: (id) => {
        if (this.isNews(index, id, 'changed')) listener.changed(id)
      },
      othersWait: (id) => {
        if (this.isNews(index, id, 'others wait')) listener.othersWait(id)
      },
      restored: () => this.election.revisit(index),
      // `onDown` knows of all servers.
      disconnected: () => {},
      warning: (code, message) => listener.warning(code, `${describe}: ${message}`),
    }
  }

  /** Each server gives its hint: whoever waits is told at the first, and whoever holds when a majority has changed its mind. */
  private isNews(index: number, id: string, hint: string): boolean {
    const candidacy = this.election.get(id)
    if (candidacy === undefined) return true
    const { hints, told } = candidacy
    const key = `${index} ${hint}`
    if (hints.has(key)) return false
    hints.add(key)
    const count = [...hints].filter((one) => one.endsWith(hint)).length
    return count === (told === undefined ? 1 : this.majority)
  }

  private listenerOf(id: string): SessionListener | undefined {
    return this.listeners.get(id.slice(0, id.indexOf('.')))
  }

  private get up(): number {
    return this.voters.filter(({ isUp }) => isUp).length
  }

  private onUp(): void {
    // From now on there is a majority: what was uncertain is asked for again.
    if (this.up === this.majority) this.listeners.forEach((listener) => listener.restored())
  }

  private onDown(error: Error): void {
    if (this.up < this.majority) this.listeners.forEach((listener) => listener.disconnected(error, false))
  }
}

function refuseReplicas(minReplicas = 0): void {
  if (minReplicas === 0) return
  throw new OptionFailure('minReplicas', minReplicas, 'must be 0 on several independent servers: a majority of them has each grant')
}

/** Until when so many servers keep the lock. */
function until(held: readonly RenewReply[], majority: number): number {
  const ends = held.map((reply) => (reply.status === 'held' ? reply.validUntilMs : 0)).sort((a, b) => b - a)
  return ends[majority - 1] as number
}
