/**
 * What one grant of the server is to this process: under it one claim after the other may hold the lock, each handing it on to the next
 * without asking the server, which sees one holder all the time. Every one of them has a larger fencing token than the one before.
 */

import type { HandOverLimits } from '../options.js'
import type { ClaimRequest, Grant } from '../store/store.js'
import { Spare } from './spare-tokens.js'

/** The server's clock gains at least so many microseconds in a millisecond of ours: see `validity.ts` for the hundredth. */
const TOKENS_PER_MS = 990

/** Less than this part of what was granted is not handed on: it is time to ask the server. */
const LEAST_LEFT = 2 / 3

export class Tenure {
  readonly id: string
  readonly firstToken: number
  /** The last token that was used. */
  lastToken: number
  /** Until when the lease certainly stands. */
  validUntilMs: number
  /** A renewal has succeeded: what was pushed is as long as a lease is. */
  private confirmed = false
  /** Somebody outside this process may speak for it too: then the id must not outlast the claim that it was granted to. */
  private sealed = false
  /** Since others were known to wait: from when, and how often it was handed on. */
  private crowdedSinceMs = Number.POSITIVE_INFINITY
  private handedOn = 0
  /** Of the claim that holds the lock now. */
  private priority: number

  constructor(
    /** What the server was asked for. */
    readonly asked: Pick<ClaimRequest, 'id' | 'mode' | 'permits' | 'limit' | 'ttlMs' | 'priority' | 'minReplicas'>,
    readonly grant: Grant,
    /** The grant was pushed: it stands for a claim window only, until it is confirmed by a renewal. */
    readonly pushed: boolean,
    /** A request for it was never answered and may reach the server yet. */
    readonly stray: boolean,
    /** What the server shows of the claimant. */
    readonly info: string,
    /** When this process had it: not before the server granted it. */
    readonly startedAtMs: number,
    /** Of a counted grant, or one of several servers. */
    private readonly spare = new Spare(grant.fencingToken),
  ) {
    this.id = asked.id
    this.priority = asked.priority
    this.firstToken = grant.fencingToken
    this.lastToken = grant.fencingToken
    this.validUntilMs = grant.validUntilMs
  }

  /** Pushed, and not confirmed yet: the server keeps it for a claim window only. */
  get isProvisional(): boolean {
    return this.pushed && !this.confirmed
  }

  get wasHandedOn(): boolean {
    return this.lastToken !== this.firstToken
  }

  /** The server confirmed the lease. It never shortens one, so an answer that was overtaken changes nothing. */
  confirm(validUntilMs: number, leaseMs: number): void {
    this.validUntilMs = Math.max(this.validUntilMs, validUntilMs)
    this.confirmed ||= leaseMs > 1
  }

  seal(): void {
    this.sealed = true
  }

  /**
   * The token for the next holder, or undefined when it is the server's turn to say who that is.
   *
   * @param priority of that next holder. Of those elsewhere it is not known: while any wait, no lower one than the present goes before them
   * @param crowdedSinceMs since when claims of other processes wait; Infinity: none do; undefined: nothing is known since the grant
   * @param fullLeaseMs what a grant is worth that nobody has confirmed
   */
  handOn(
    nowMs: number,
    priority: number,
    crowdedSinceMs: number | undefined,
    limits: HandOverLimits,
    fullLeaseMs: number,
  ): number | undefined {
    if (this.grant.canHandOn !== true || this.sealed || limits.most === 0) return undefined
    const leftMs = this.validUntilMs - nowMs
    // Made longer by `extend`: the next holder did not ask for that, and others would have to wait for its end should this process die.
    if (leftMs > this.asked.ttlMs || leftMs < Math.min(fullLeaseMs, this.asked.ttlMs) * LEAST_LEFT) return undefined
    if (this.isCrowdedOut(nowMs, priority, crowdedSinceMs, limits)) return undefined
    const token = this.nextToken(nowMs)
    if (token === undefined) return undefined
    this.lastToken = token
    this.priority = priority
    return token
  }

  private isCrowdedOut(nowMs: number, priority: number, crowdedSinceMs: number | undefined, { most, forMs }: HandOverLimits): boolean {
    if (crowdedSinceMs === Number.POSITIVE_INFINITY) {
      this.crowdedSinceMs = crowdedSinceMs
      this.handedOn = 0
      return false
    }
    // Without news, others may have come although the grant said that there are none: claims that wait for less long than a reply takes
    // never have any, and would hand the lock to one another for ever.
    const sinceMs = crowdedSinceMs ?? (this.grant.othersWait === false ? nowMs : this.startedAtMs)
    this.crowdedSinceMs = Math.min(this.crowdedSinceMs, Math.max(sinceMs, this.startedAtMs))
    if (priority < this.priority || this.handedOn >= most || nowMs - this.crowdedSinceMs >= forMs) return true
    this.handedOn += 1
    return false
  }

  /** See {@link Grant.canHandOn}. */
  private nextToken(nowMs: number): number | undefined {
    if (this.asked.mode === 'counted' || this.grant.spareTokensOnly) return this.spare.take()
    const token = this.firstToken + Math.floor((nowMs - this.startedAtMs) * TOKENS_PER_MS)
    return token > this.lastToken ? token : undefined
  }
}
