/**
 * The state of one name, and every rule of the protocol. Read this to learn what a lock server does; the Lua scripts do the same in Redis.
 *
 * Everything is a claim on permits. Who has them is a *holder*, until its lease ends; who wants them is a *waiter*, in one queue ordered by
 * priority, then by ticket. Nothing happens by itself: each operation is given the present moment, drops whatever that moment has ended
 * ({@link MemoryName.settle}), does its work, and lets the queue move on ({@link MemoryName.pump}).
 */

import {
  type ClaimReply,
  type ClaimRequest,
  type Grant,
  type HolderRecord,
  type ReleaseOptions,
  type ReleaseReply,
  type RenewReply,
  SPARE_TOKENS,
  type Successor,
  type WaiterRecord,
} from './store.js'

/** The last token outlives the name's use by this long. */
const KEEP_TOKEN_MS = 3_600_000

/** An id that was withdrawn before its request arrived is refused for this long. */
const KEEP_WITHDRAWN_MS = 30_000

/** What a name needs from the store that it is part of. Moments are milliseconds on the store's clock. */
export interface Surroundings {
  readonly claimWindowMs: number
  readonly waiterLifeMs: number
  /** The wall time of a moment in whole microseconds: what fencing tokens and tickets are made of. */
  microseconds(nowMs: number): number
  isListening(id: string): boolean
  /** Tells the id's session, a little later, that its waiter was granted. */
  tellGranted(id: string, grant: Grant): void
  /** Tells the id's session, a little later, that something happened to its lock. */
  tellChanged(id: string): void
  /** Tells the id's session, a little later, that its waiter is not the only one any more. */
  tellOthersWait(id: string): void
  sessionOf(id: string): string
}

interface Holder {
  claim: ClaimRequest
  fencingToken: number
  readonly sinceMs: number
  endsMs: number
}

interface Waiter {
  claim: ClaimRequest
  readonly ticket: number
  readonly sinceMs: number
  /** The last sign of life. */
  seenMs: number
}

export class MemoryName {
  private readonly holders = new Map<string, Holder>()
  /** In the order of grants. */
  private queue: Waiter[] = []
  /** Ids that must not be granted should their request still come, and until when that is remembered. */
  private readonly withdrawn = new Map<string, number>()
  private lastToken = 0
  private lastTicket = 0
  private usedMs = 0

  constructor(
    private readonly name: string,
    private readonly around: Surroundings,
  ) {}

  acquire(claim: ClaimRequest, nowMs: number): ClaimReply {
    const { id } = claim
    this.showLife(claim, nowMs)
    this.settle(nowMs)
    const held = this.holders.get(id)
    if (this.withdrawn.has(id)) return { status: 'withdrawn' }
    // The same request again: its reply was lost, or its wake-up was.
    if (held) return { status: 'granted', ...this.grantOf(held, nowMs), validUntilMs: extend(held, nowMs + claim.ttlMs) }
    const limit = this.limit()
    if (claim.mode === 'counted' && limit !== undefined && limit !== claim.limit) return { status: 'conflict', limit }

    // Whoever goes first by priority and place goes first, be it this claim: so even a free name is taken by way of the queue.
    const { ticket } = this.enqueue(claim, nowMs)
    const grant = this.pump(nowMs, id)
    if (grant) return { status: 'granted', ...grant }
    if (claim.queue) return { status: 'waiting', ticket, nextEndMs: this.nextEndMs(nowMs), waiters: this.queue.length }
    this.leaveQueue(id)
    // While it stood in the queue, a single attempt may have been in the way of others.
    this.pump(nowMs)
    return { status: 'busy' }
  }

  renew(id: string, ttlMs: number, nowMs: number, successor?: Successor): RenewReply {
    this.settle(nowMs)
    const held = this.holders.get(id)
    if (!held) return { status: 'lost' }
    if (successor) {
      held.fencingToken = successor.fencingToken
      held.claim = { ...held.claim, info: successor.info }
      this.noteToken(successor.fencingToken)
    }
    return { status: 'held', validUntilMs: extend(held, nowMs + ttlMs) }
  }

  release(id: string, { keepMs = 0, withdraw = false, fencingToken = 0 }: ReleaseOptions, nowMs: number): ReleaseReply {
    this.settle(nowMs)
    const held = this.holders.get(id)
    if (held) this.noteToken(fencingToken)
    if (held && keepMs > 0) {
      // From here on it belongs to nobody: under another id, it can't be renewed or released any more.
      this.holders.delete(id)
      this.holders.set(`${id}.kept`, { ...held, endsMs: nowMs + keepMs })
      return { status: 'released' }
    }
    if (held) this.letGo(id, nowMs)
    else if (withdraw && !this.leaveQueue(id)) this.withdrawn.set(id, nowMs + KEEP_WITHDRAWN_MS)
    this.pump(nowMs)
    return { status: held ? 'released' : 'absent' }
  }

  forceRelease(nowMs: number): number {
    this.settle(nowMs)
    const victims = [...this.holders.keys()]
    for (const id of victims) {
      this.letGo(id, nowMs)
      this.around.tellChanged(id)
    }
    this.pump(nowMs)
    return victims.length
  }

  inspect(nowMs: number): { held: HolderRecord[]; pending: WaiterRecord[] } {
    this.settle(nowMs)
    const held = Array.from(this.holders.values(), (holder) => ({
      ...this.record(holder, nowMs),
      fencingToken: holder.fencingToken,
      expiresInMs: holder.endsMs - nowMs,
    }))
    const pending = this.queue.map((waiter, i) => ({
      ...this.record(waiter, nowMs),
      priority: waiter.claim.priority,
      position: i + 1,
    }))
    return { held, pending }
  }

  /** Whether nothing is left but a token that is too old to matter. */
  isForgettable(nowMs: number): boolean {
    this.settle(nowMs)
    const inUse = this.holders.size + this.queue.length + this.withdrawn.size > 0
    return !inUse && nowMs - this.usedMs >= KEEP_TOKEN_MS
  }

  /** Drops whatever this moment has ended: leases, waiters that showed no life, withdrawals. */
  private settle(nowMs: number): void {
    for (const [id, holder] of this.holders) if (holder.endsMs <= nowMs) this.letGo(id, holder.endsMs)
    for (const [id, untilMs] of this.withdrawn) if (untilMs <= nowMs) this.withdrawn.delete(id)
    this.queue = this.queue.filter((waiter) => nowMs - waiter.seenMs <= this.around.waiterLifeMs)
  }

  /** Grants to the head of the queue while it fits, and only to the head: who does not fit yet is overtaken by nobody. */
  private pump(nowMs: number, asking?: string): Grant | undefined {
    let own: Grant | undefined
    for (let head = this.queue[0]; head && this.fits(head.claim); head = this.queue[0]) {
      this.queue.shift()
      const { id, ttlMs } = head.claim
      if (id === asking) {
        // It reads this in the reply.
        own = this.grant(head.claim, ttlMs, nowMs)
      } else if (this.around.isListening(id)) {
        // It may be dead all the same: until it confirms, that costs a claim window and not a lease.
        const grant = this.grant(head.claim, Math.min(this.around.claimWindowMs, ttlMs), nowMs)
        this.around.tellGranted(id, grant)
      }
      // Who does not listen any more is passed over; should it ask again after all, its ticket brings it back to its place.
    }
    return own
  }

  private grant(claim: ClaimRequest, leaseMs: number, nowMs: number): Grant {
    const fencingToken = Math.max(this.lastToken + 1, this.around.microseconds(nowMs))
    const holder = { claim, fencingToken, sinceMs: nowMs, endsMs: nowMs + leaseMs }
    this.noteToken(claim.mode === 'counted' ? fencingToken + SPARE_TOKENS : fencingToken)
    this.holders.set(claim.id, holder)
    return this.grantOf(holder, nowMs)
  }

  private grantOf({ fencingToken, endsMs }: Holder, nowMs: number): Grant {
    // Many grants in one microsecond bring the tokens ahead of the time.
    const canHandOn = fencingToken <= this.around.microseconds(nowMs)
    return { fencingToken, validUntilMs: endsMs, othersWait: this.queue.length > 0, canHandOn }
  }

  private noteToken(fencingToken: number): void {
    this.lastToken = Math.max(this.lastToken, fencingToken)
  }

  private letGo(id: string, atMs: number): void {
    this.holders.delete(id)
    this.usedMs = Math.max(this.usedMs, atMs)
  }

  private fits(claim: ClaimRequest): boolean {
    let used = 0
    for (const holder of this.holders.values()) {
      if (claim.mode === 'exclusive' || holder.claim.mode === 'exclusive') return false
      used += holder.claim.permits
    }
    return used === 0 || claim.limit === 0 || used + claim.permits <= claim.limit
  }

  /** The limit that all counted claims here agree on; undefined when there is none. */
  private limit(): number | undefined {
    for (const { claim } of this.holders.values()) if (claim.mode === 'counted') return claim.limit
    return this.queue.find(({ claim }) => claim.mode === 'counted')?.claim.limit
  }

  private nextEndMs(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY
    for (const { endsMs } of this.holders.values()) nextMs = Math.min(nextMs, endsMs)
    return Number.isFinite(nextMs) ? nextMs : nowMs + this.around.claimWindowMs
  }

  /** A waiter that asks again is alive; what it asks for now counts, at the place that it has. */
  private showLife(claim: ClaimRequest, nowMs: number): void {
    const waiter = this.queue.find((one) => one.claim.id === claim.id)
    if (!waiter) return
    waiter.seenMs = nowMs
    waiter.claim = { ...claim, priority: waiter.claim.priority }
  }

  private enqueue(claim: ClaimRequest, nowMs: number): Waiter {
    const present = this.queue.find((waiter) => waiter.claim.id === claim.id)
    if (present) return present
    // A ticket from an earlier reply keeps the place that the claim had before the store forgot it, or before its turn passed unused.
    const ticket = claim.ticket > 0 ? claim.ticket : Math.max(this.lastTicket + 1, this.around.microseconds(nowMs))
    this.lastTicket = Math.max(this.lastTicket, ticket)
    const waiter = { claim, ticket, sinceMs: nowMs, seenMs: nowMs }
    const [alone, second] = this.queue
    const place = this.queue.findIndex((other) => goesBefore(waiter, other))
    this.queue.splice(place === -1 ? this.queue.length : place, 0, waiter)
    if (alone && !second && this.around.sessionOf(alone.claim.id) !== this.around.sessionOf(claim.id)) {
      this.around.tellOthersWait(alone.claim.id)
    }
    return waiter
  }

  private leaveQueue(id: string): boolean {
    const place = this.queue.findIndex((waiter) => waiter.claim.id === id)
    if (place === -1) return false
    this.queue.splice(place, 1)
    return true
  }

  private record({ claim, sinceMs }: Holder | Waiter, nowMs: number) {
    const { id, mode, permits, info } = claim
    return { name: this.name, id, mode, permits, limit: mode === 'exclusive' ? 1 : claim.limit, info, ageMs: nowMs - sinceMs }
  }
}

/** Makes a lease last until `untilMs`, unless it lasts longer already; returns when it ends. */
function extend(holder: Holder, untilMs: number): number {
  holder.endsMs = Math.max(holder.endsMs, untilMs)
  return holder.endsMs
}

function goesBefore(a: Waiter, b: Waiter): boolean {
  if (a.claim.priority !== b.claim.priority) return a.claim.priority > b.claim.priority
  return a.ticket < b.ticket
}
