/**
 * What each of several servers says to one claim, and what that comes to. Pure: no requests and no timers.
 *
 * A claim is granted when a majority has granted it at the same time. The token of an exclusive claim is, of the smallest majority of the tokens
 * that it was given, the largest, because each earlier claim's token is known to a server of that majority; it may be used when a majority knows it,
 * so that the next one is larger again. Readers hold side by side, and each server may have granted to them in another order: theirs must be the
 * same on a majority, and no server gives a token twice.
 */

import { majorityOf } from '../../util/majority.js'
import { type ClaimReply, type ClaimRequest, type Grant, SPARE_TOKENS } from '../store.js'

/** A server's last word; undefined: it has said nothing yet, or may have changed its mind. */
type Vote = ClaimReply | undefined

type Granted = Extract<ClaimReply, { status: 'granted' }>
type Waiting = Extract<ClaimReply, { status: 'waiting' }>

export class Ballot {
  request: ClaimRequest
  /** Its place in every server's queue, proposed with the first request. */
  readonly ticket: number
  readonly votes: Vote[]
  /** Whether a request may have reached the server. */
  readonly sent: boolean[]
  /** Whether a request was never answered and may reach the server yet. */
  readonly stray: boolean[]
  /** Grants with tokens up to this are being given back to the server, whatever is heard of them. */
  private readonly yielded: number[]
  private readonly pushes: number[]

  constructor(
    request: ClaimRequest,
    proposedUs: number,
    private readonly voters: number,
  ) {
    this.request = request
    this.ticket = request.ticket > 0 ? request.ticket : proposedUs
    this.votes = new Array(voters).fill(undefined)
    this.sent = new Array(voters).fill(false)
    this.stray = new Array(voters).fill(false)
    this.yielded = new Array(voters).fill(0)
    this.pushes = new Array(voters).fill(0)
  }

  /** How often the server has granted it without being asked; to be told with the answer to a request that is sent now. */
  pushesSoFar(index: number): number {
    return this.pushes[index] as number
  }

  /** A server's answer to a request. A grant that was pushed meanwhile is later than the word that it has to wait. */
  answer(index: number, reply: ClaimReply, pushesBefore: number): void {
    const vote = this.votes[index]
    if (reply.status === 'granted' && reply.fencingToken <= (this.yielded[index] as number)) return
    if (vote?.status === 'granted') {
      if (reply.status === 'waiting' && this.pushes[index] !== pushesBefore) return
      // A lease is never shortened, also not by asking for a shorter one.
      if (reply.status === 'granted' && vote.fencingToken === reply.fencingToken) {
        this.votes[index] = reply
        return this.renew(index, reply.fencingToken, vote.validUntilMs)
      }
    }
    this.votes[index] = reply
  }

  /** A server's grant that nobody asked for now. False: it was given back already. */
  push(index: number, grant: Grant): boolean {
    if (grant.fencingToken <= (this.yielded[index] as number)) return false
    this.votes[index] = { status: 'granted', ...grant }
    this.pushes[index] = (this.pushes[index] as number) + 1
    return true
  }

  /** No answer: what the server thinks is not known. */
  fail(index: number): void {
    this.votes[index] = undefined
  }

  /** What the server granted is to be given back to it; returns the token of that, or undefined when there is nothing. */
  yield(index: number): number | undefined {
    const vote = this.votes[index]
    if (vote?.status !== 'granted') return undefined
    this.yielded[index] = vote.fencingToken
    this.votes[index] = undefined
    return vote.fencingToken
  }

  /** A server confirmed the lease, and knows a token that is at least this one. */
  renew(index: number, fencingToken: number, validUntilMs: number): void {
    const vote = this.votes[index]
    const known = vote?.status === 'granted' ? vote : { status: 'granted' as const, fencingToken, validUntilMs }
    this.votes[index] = {
      ...known,
      fencingToken: Math.max(known.fencingToken, fencingToken),
      validUntilMs: Math.max(known.validUntilMs, validUntilMs),
    }
  }

  isGrantedBy(index: number): boolean {
    return this.votes[index]?.status === 'granted'
  }

  /** What servers have granted and that still stands. */
  grants(nowMs: number): Granted[] {
    return this.votes.filter((vote): vote is Granted => vote?.status === 'granted' && vote.validUntilMs > nowMs)
  }

  /** The claim's grant, if a majority has granted it. `isKnown`: a majority knows its token, so that it may be used. */
  grant(nowMs: number): { grant: Grant; isKnown: boolean } | undefined {
    return this.grantOf(this.grants(nowMs))
  }

  private grantOf(grants: readonly Granted[]): { grant: Grant; isKnown: boolean } | undefined {
    const majority = majorityOf(this.voters)
    if (grants.length < majority) return undefined
    const tokens = grants.map(({ fencingToken }) => fencingToken).sort((a, b) => a - b)
    const ends = grants.map(({ validUntilMs }) => validUntilMs).sort((a, b) => b - a)
    const known = this.request.mode === 'exclusive' ? knownToken(tokens, majority) : sharedToken(tokens, majority)
    const fencingToken = known ?? (tokens[majority - 1] as number)
    const grant: Grant = {
      fencingToken,
      // Until then a majority keeps it.
      validUntilMs: ends[majority - 1] as number,
      // One that is behind does not count: it is a hint.
      othersWait: grants.filter(({ othersWait }) => othersWait === false).length < majority,
      canHandOn: Number.isSafeInteger(fencingToken + SPARE_TOKENS),
      spareTokensOnly: true,
    }
    return { grant, isKnown: known !== undefined }
  }

  /** The servers' answers as one, when there are enough of them and it was not granted. */
  summary(nowMs: number): ClaimReply | undefined {
    const votes = this.votes.filter((vote) => vote !== undefined)
    if (votes.length < majorityOf(this.voters)) return undefined
    const decided = votes.find(({ status }) => status === 'withdrawn') ?? votes.find(({ status }) => status === 'conflict')
    if (decided !== undefined) return decided
    // Granted, and over before it was known: whoever asked is to know that nobody else was in the way.
    const granted = votes.filter((vote): vote is Granted => vote.status === 'granted')
    const late = this.grants(nowMs).length < granted.length ? this.grantOf(granted) : undefined
    if (late !== undefined) return { status: 'granted', ...late.grant }
    return this.request.queue ? this.waiting(votes, nowMs) : { status: 'busy' }
  }

  /** A majority could be free when so many of the leases in the way have ended. */
  private waiting(votes: readonly ClaimReply[], nowMs: number): Waiting {
    const waiting = votes.filter((vote): vote is Waiting => vote.status === 'waiting')
    const granted = this.grants(nowMs).length
    const ends = waiting.map(({ nextEndMs }) => nextEndMs).sort((a, b) => a - b)
    return {
      status: 'waiting',
      ticket: this.ticket,
      nextEndMs: ends[Math.max(0, majorityOf(this.voters) - granted - 1)] ?? nowMs,
      waiters: Math.max(1, ...waiting.map(({ waiters }) => waiters ?? 1)),
    }
  }
}

/** The largest of the smallest majority, if a majority has it or a larger one. `tokens`: the smallest first. */
function knownToken(tokens: readonly number[], majority: number): number | undefined {
  const token = tokens[majority - 1] as number
  return tokens.filter((one) => one >= token).length >= majority ? token : undefined
}

/** The one that a majority has given. `tokens`: the smallest first. */
function sharedToken(tokens: readonly number[], majority: number): number | undefined {
  return tokens.find((token, i) => tokens[i + majority - 1] === token)
}
