/**
 * How one claim is put to all servers until a majority grants it: a round of requests, grants that are pushed later, and what is done when the
 * votes are split.
 *
 * All servers order their queues by priority and by the ticket that the claim proposes, so that all of them have the same next holder. They can
 * only differ where a request came late or not at all. A claim that holds too few of them gives its grants back (`yield`): each server then
 * grants to whoever is first in its queue, which is the same claim everywhere; and it asks those again of which it knows nothing.
 */

import type { Clock, Timer } from '../../util/clock.js'
import { majorityOf } from '../../util/majority.js'
import type { RedisStore } from '../redis/redis-store.js'
import { type ClaimReply, type ClaimRequest, type Grant, SPARE_TOKENS, StoreFailure } from '../store.js'
import { Ballot } from './ballot.js'
import type { HybridClock } from './hybrid-clock.js'
import { noMajority, poll, Returns, toFailure } from './poll.js'
import type { Voter } from './voter.js'

/** When a majority has answered without granting, the others have as long again, and this at least. */
const GRACE_MS = 50

/** Too few grants are kept for about this long, doubled each time: the others are on their way, or somebody else has them. */
const SETTLE_MS = 20
const LONGEST_SETTLE_MS = 500

/** Servers that have not answered for so long are told of. */
const WORRY_MS = 500

/** Grants by several servers of the same claim arrive within this time of each other, unless something is wrong. */
const TOGETHER_MS = 40

/** So long a claim that came to nothing waits for what it had to be given back. */
const GIVE_BACK_MS = 20

/** So often is agreement tried for in a row. */
const SETTLINGS = 5

/** A claim that nobody asked for again in this time and its lease is forgotten. */
const FORGET_MS = 60_000

type Ask = (store: RedisStore) => Promise<ClaimReply>

interface Round {
  readonly returns: Returns<ClaimReply>
  readonly startedAtMs: number
  grace: Timer | undefined
  graceIsOver: boolean
  /** How it ends, for all who ask for the same claim meanwhile. */
  readonly ended: Promise<ClaimReply>
  resolve(reply: ClaimReply): void
  reject(failure: StoreFailure): void
}

/** A claim and where it stands. */
export class Candidacy {
  round: Round | undefined
  settling: Timer | undefined
  settled = 0
  /** What the claimant was told. */
  told: Grant | undefined
  toldAtMs = 0
  /** Its token is being made known. */
  raising = false
  over = false
  forgetAtMs = 0
  /** Who gave a hint since it was last asked about. */
  readonly hints = new Set<string>()
  /** Servers that did not have it at the last renewal, although a majority had. */
  readonly missing = new Set<number>()

  constructor(readonly ballot: Ballot) {}
}

function beginRound(voters: number, startedAtMs: number): Round {
  let resolve: Round['resolve'] = () => {}
  let reject: Round['reject'] = () => {}
  const ended = new Promise<ClaimReply>((yes, no) => {
    resolve = yes
    reject = no
  })
  return {
    returns: new Returns(voters),
    startedAtMs,
    grace: undefined,
    graceIsOver: false,
    ended,
    resolve,
    reject,
  }
}

export class Election {
  private readonly byId = new Map<string, Candidacy>()
  private sweepAt = 1_000
  private worry: Timer | undefined

  constructor(
    private readonly voters: readonly Voter[],
    private readonly clock: Clock,
    private readonly proposals: HybridClock,
    /** A claim that waits was granted. */
    private readonly granted: (id: string, grant: Grant) => void,
    /** Takes a claim back from a server. `isKnown`: it is certain that the server granted it. */
    private readonly giveBack: (index: number, request: ClaimRequest, isKnown: boolean) => Promise<void>,
    /** There is no majority that answers. */
    private readonly troubled: (failure: StoreFailure) => void,
  ) {}

  get(id: string): Candidacy | undefined {
    return this.byId.get(id)
  }

  /** Puts a claim to all servers. */
  stand(request: ClaimRequest): Promise<ClaimReply> {
    const proposedUs = this.proposals.next()
    let candidacy = this.byId.get(request.id)
    if (candidacy === undefined) {
      candidacy = new Candidacy(new Ballot(request, proposedUs, this.voters.length))
      this.sweep()
      this.byId.set(request.id, candidacy)
    }
    const { ballot } = candidacy
    if (candidacy.round !== undefined) return candidacy.round.ended
    // A ticket in a first request would take a longer way through the script.
    ballot.request = ballot.sent.includes(true) ? { ...request, ticket: ballot.ticket } : request
    candidacy.told = undefined
    candidacy.settled = 0
    candidacy.hints.clear()
    this.stopSettling(candidacy)
    this.touch(candidacy)
    const round = beginRound(this.voters.length, this.clock.now())
    candidacy.round = round
    for (const index of this.voters.keys()) this.request(candidacy, index, proposedUs, round)
    this.worry ??= this.clock.after(WORRY_MS, () => this.lookForSilence())
    return round.ended
  }

  /** A server granted it without being asked now. False: nobody here knows the claim. */
  push(index: number, id: string, grant: Grant): boolean {
    const candidacy = this.byId.get(id)
    if (candidacy === undefined) return false
    this.proposals.see(grant.fencingToken + SPARE_TOKENS)
    if (!candidacy.ballot.push(index, grant)) return true
    if (candidacy.told !== undefined) {
      // One that comes with the others is confirmed with them.
      if (this.clock.now() - candidacy.toldAtMs > TOGETHER_MS) this.confirm(candidacy, index)
    } else {
      candidacy.settled = 0
      this.consider(candidacy)
    }
    return true
  }

  /** A claim that has gone unanswered for a while may be given up before its servers are: what is wrong should be known by then. */
  private lookForSilence(): void {
    this.worry = undefined
    const rounds = [...this.byId.values()].flatMap(({ round }) => round ?? [])
    if (rounds.length === 0) return
    const beforeMs = this.clock.now() - WORRY_MS
    const silent = rounds.find((round) => round.startedAtMs <= beforeMs && round.returns.answered < majorityOf(this.voters.length))
    if (silent !== undefined) this.troubled(noMajority(this.voters, silent.returns))
    this.worry = this.clock.after(WORRY_MS, () => this.lookForSilence())
  }

  /** A server granted what a majority has granted before: it is to keep it for as long as they do. */
  private confirm({ ballot, told }: Candidacy, index: number): void {
    const { name, id } = ballot.request
    const leftMs = Math.max(1, Math.floor((told?.validUntilMs ?? 0) - this.clock.now()))
    ;(this.voters[index] as Voter)
      .ask(this.proposals.next(), (store) => store.renew(name, id, leftMs))
      .then(
        (reply) => {
          if (reply.status === 'held') ballot.renew(index, 0, reply.validUntilMs)
          else ballot.fail(index)
        },
        // The next renewal finds out.
        () => undefined,
      )
  }

  /** A server can be reached again: it is asked for what waits. */
  revisit(index: number): void {
    const proposedUs = this.proposals.next()
    for (const candidacy of this.byId.values()) {
      const { ballot, told } = candidacy
      if (told !== undefined || !ballot.request.queue || ballot.votes[index]?.status === 'waiting') continue
      this.request(candidacy, index, proposedUs)
    }
  }

  /** Nothing more is asked for this claim; what is known of it stays with whoever ends it. */
  end(id: string): Candidacy | undefined {
    const candidacy = this.byId.get(id)
    if (candidacy === undefined) return undefined
    this.byId.delete(id)
    candidacy.over = true
    candidacy.settling?.cancel()
    this.endRound(candidacy)
    return candidacy
  }

  touch(candidacy: Candidacy): void {
    candidacy.forgetAtMs = this.clock.now() + candidacy.ballot.request.ttlMs + FORGET_MS
  }

  close(): void {
    for (const id of [...this.byId.keys()]) this.end(id)
    this.worry?.cancel()
  }

  private request(candidacy: Candidacy, index: number, proposedUs: number, round?: Round): void {
    const { request } = candidacy.ballot
    this.put(candidacy, index, proposedUs, (store) => store.acquire(request), round)
  }

  /** Makes a request for a claim to one server, and heeds what comes of it. */
  private put(candidacy: Candidacy, index: number, proposedUs: number, ask: Ask, round?: Round): void {
    const { ballot } = candidacy
    ballot.sent[index] = true
    const pushes = ballot.pushesSoFar(index)
    const look = () => candidacy.over || this.consider(candidacy)
    ;(this.voters[index] as Voter).ask(proposedUs, ask).then(
      (reply) => {
        if (reply.status === 'granted') this.proposals.see(reply.fencingToken + SPARE_TOKENS)
        ballot.answer(index, reply, pushes)
        round?.returns.answer(index, reply)
        look()
      },
      (error) => {
        const failure = toFailure(error)
        if (failure.kind === 'unreachable') ballot.stray[index] = true
        ballot.fail(index)
        round?.returns.fail(index, failure)
        look()
      },
    )
  }

  /** Something is known that was not before. */
  private consider(candidacy: Candidacy): void {
    const { ballot, round } = candidacy
    if (candidacy.told !== undefined) return
    const won = ballot.grant(this.clock.now())
    // What was granted before the round counts, but not for as long.
    const isAnswered = round === undefined || round.returns.answered >= majorityOf(this.voters.length)
    if (won !== undefined && isAnswered) {
      if (won.isKnown) this.tell(candidacy, won.grant)
      else this.raise(candidacy, won.grant)
    } else if (round !== undefined) {
      this.conclude(candidacy, round)
    } else if (ballot.grants(this.clock.now()).length > 0) {
      this.settleLater(candidacy)
    }
  }

  private tell(candidacy: Candidacy, grant: Grant): void {
    const { round, ballot } = candidacy
    candidacy.told = grant
    candidacy.toldAtMs = this.clock.now()
    this.stopSettling(candidacy)
    this.touch(candidacy)
    this.proposals.see(grant.fencingToken + SPARE_TOKENS)
    this.endRound(candidacy)
    if (round !== undefined) round.resolve({ status: 'granted', ...grant })
    else this.granted(ballot.request.id, grant)
  }

  /** Too few servers know the token, or have given the same: a renewal that names one makes it known. One for 1 ms changes nothing of the lease. */
  private raise(candidacy: Candidacy, grant: Grant): void {
    if (candidacy.raising) return
    candidacy.raising = true
    const { ballot } = candidacy
    const { name, id, info, mode } = ballot.request
    const proposedUs = this.proposals.next()
    const fencingToken = mode === 'exclusive' ? grant.fencingToken : proposedUs
    const known = poll(
      this.voters,
      async (voter, index) => {
        if (!ballot.isGrantedBy(index)) return false
        const reply = await voter.ask(proposedUs, (store) => store.renew(name, id, 1, { fencingToken, info }))
        if (reply.status === 'lost') ballot.fail(index)
        else ballot.renew(index, reply.tokenRefused ? 0 : fencingToken, reply.validUntilMs)
        return true
      },
      (returns) => (returns.open === 0 || ballot.grant(this.clock.now())?.isKnown ? true : undefined),
    )
    void known
      .catch(() => undefined)
      .then(() => {
        candidacy.raising = false
        const won = ballot.grant(this.clock.now())
        if (candidacy.over || candidacy.told !== undefined) return
        // A grant that came meanwhile may have changed what is to be known: not again at once, but after a while.
        if (won?.isKnown) this.tell(candidacy, won.grant)
        else if (candidacy.round !== undefined) this.conclude(candidacy, candidacy.round)
        else this.settleLater(candidacy)
      })
  }

  /** Ends a round that was not won, when it is over. */
  private conclude(candidacy: Candidacy, round: Round): void {
    const { ballot } = candidacy
    const nowMs = this.clock.now()
    const summary = ballot.summary(nowMs)
    const { open, failed } = round.returns
    if (summary === undefined) {
      if (open > 0 && this.voters.length - failed >= majorityOf(this.voters.length)) return
      this.endRound(candidacy)
      round.reject(noMajority(this.voters, round.returns))
      return
    }
    if (open > 0 && !round.graceIsOver) {
      round.grace ??= this.clock.after(Math.max(GRACE_MS, nowMs - round.startedAtMs), () => {
        round.graceIsOver = true
        if (candidacy.round === round) this.consider(candidacy)
      })
      return
    }
    this.endRound(candidacy)
    if (summary.status !== 'waiting' && summary.status !== 'granted') return this.abandon(candidacy, () => round.resolve(summary))
    round.resolve(summary)
    if (ballot.grants(nowMs).length > 0) this.settle(candidacy)
  }

  /** Tries to make all servers agree. */
  private settle(candidacy: Candidacy): void {
    const { ballot } = candidacy
    this.stopSettling(candidacy)
    if (candidacy.over || candidacy.told !== undefined || candidacy.round !== undefined || candidacy.raising) return
    if (ballot.grants(this.clock.now()).length === 0) return
    candidacy.settled += 1
    ballot.request = { ...ballot.request, ticket: ballot.ticket }
    const proposedUs = this.proposals.next()
    const { request } = ballot
    const goes = candidacy.settled > SETTLINGS
    for (const index of this.voters.keys()) {
      const token = ballot.yield(index)
      // A server that could not tell of its grant is found to have made it.
      if (token === undefined) this.request(candidacy, index, proposedUs)
      // Others have the rest, and keep it. It is asked for again with everything else, or when they let go.
      else this.put(candidacy, index, proposedUs, (store) => (goes ? store.leave(request, token) : store.yield(request, token)))
    }
  }

  private settleLater(candidacy: Candidacy): void {
    const delayMs = Math.min(LONGEST_SETTLE_MS, SETTLE_MS * 2 ** candidacy.settled) * (0.5 + Math.random())
    candidacy.settling ??= this.clock.after(delayMs, () => this.settle(candidacy))
  }

  private stopSettling(candidacy: Candidacy): void {
    candidacy.settling?.cancel()
    candidacy.settling = undefined
  }

  /** Decided without a grant: leaves nothing behind, and tells when that is so, or after a moment. */
  private abandon({ ballot }: Candidacy, tell: () => void): void {
    this.end(ballot.request.id)
    const left: Promise<void>[] = []
    for (const [index, vote] of ballot.votes.entries()) {
      const isUnknown = vote === undefined && ballot.sent[index] === true
      if (isUnknown || vote?.status === 'granted' || vote?.status === 'waiting') {
        left.push(this.giveBack(index, ballot.request, !isUnknown))
      }
    }
    if (left.length === 0) return tell()
    const timer = this.clock.after(GIVE_BACK_MS, tell)
    void Promise.all(left).then(() => {
      timer.cancel()
      tell()
    })
  }

  /** Nobody waits for the round's end any more; where it has not been told, it is now. */
  private endRound(candidacy: Candidacy): void {
    const { round } = candidacy
    candidacy.round = undefined
    round?.grace?.cancel()
    // Without effect on a round that is resolved next.
    if (candidacy.over) round?.reject(new StoreFailure('unreachable', 'the claim was given up'))
  }

  /** Claims that were dropped without a release. */
  private sweep(): void {
    if (this.byId.size < this.sweepAt) return
    const nowMs = this.clock.now()
    for (const [id, { forgetAtMs }] of this.byId) if (forgetAtMs < nowMs) this.end(id)
    this.sweepAt = Math.max(1_000, 2 * this.byId.size)
  }
}
