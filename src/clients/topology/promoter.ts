/**
 * Promotes a replica when the primary is gone and nobody else watches over the nodes. One promoter at a time: whoever has the votes of a majority
 * of the nodes. A node's vote is being the only one that is subscribed to a channel there: replicas can't be written to, but they can be
 * subscribed to, and what dies lets go of it. docs/decisions/0010-promotion.md says what that can't promise.
 */

import { hostAndPort } from '../../redis-options.js'
import type { Clock } from '../../util/clock.js'
import { majorityOf } from '../../util/majority.js'
import { ClientError } from '../client.js'
import { toClientError } from '../library-errors.js'
import { type Asked, askAll, type NodeReport, type SetNode } from './ask.js'
import { primaryOf } from './decide.js'
import { within } from './within.js'

export interface PromoterOptions {
  readonly nodes: readonly SetNode[]
  /** Where the votes are taken. */
  readonly channel: string
  /** How long the primary must have been away. */
  readonly afterMs: number
  readonly clock: Clock
  /** Told of what was done, for an operator. */
  tell(message: string): void
}

/** Every step with one node is bounded by this. */
const STEP_MS = 1_000
/** Whoever did not get the votes tries again after a time up to this. */
const BACK_OFF_MS = 500
/** Looks further apart than this say nothing of the time between them. */
const LOOKS_APART_MS = 5_000

/** A node's vote; `held` until the connection is lost over which it was taken. */
interface Vote {
  held: boolean
  release(): void
}

export class Promoter {
  /** Why the last attempt came to nothing, when that is more than that somebody else was faster. */
  problem: ClientError | undefined
  private awaySinceMs: number | undefined
  private lookedAtMs = Number.NEGATIVE_INFINITY
  private notBeforeMs = Number.NEGATIVE_INFINITY
  private busy = false
  private closed = false
  /** By address: so that of two promoters the slower meets the faster at the first node. */
  private readonly voters: readonly SetNode[]

  constructor(private readonly options: PromoterOptions) {
    this.voters = [...options.nodes].sort((a, b) => (a.describe < b.describe ? -1 : 1))
  }

  /** Takes note of a look at the nodes, and does what is to be done, in the background. */
  consider(asked: readonly Asked[]): void {
    const nowMs = this.options.clock.now()
    if (nowMs - this.lookedAtMs > LOOKS_APART_MS) this.awaySinceMs = undefined
    this.lookedAtMs = nowMs
    const primary = asked[primaryOf(asked)]
    if (primary !== undefined) {
      this.awaySinceMs = undefined
      if (strays(asked, primary).length > 0 && nowMs >= this.notBeforeMs) this.run((isElected) => this.gather(isElected))
      return
    }
    if (!hasMajority(asked)) {
      this.awaySinceMs = undefined
      return
    }
    this.awaySinceMs ??= nowMs
    if (nowMs - this.awaySinceMs >= this.options.afterMs && nowMs >= this.notBeforeMs) this.run((isElected) => this.promote(isElected))
  }

  close(): void {
    this.closed = true
  }

  private run(work: (isElected: () => boolean) => Promise<void>): void {
    if (this.busy || this.closed) return
    this.busy = true
    this.problem = undefined
    void this.stand(work)
      .catch((error) => {
        this.problem = toClientError(error)
      })
      .finally(() => {
        this.busy = false
        this.notBeforeMs = this.options.clock.now() + BACK_OFF_MS * Math.random()
      })
  }

  /**
   * Takes the votes, and works if a majority gave theirs. One at a time, whatever is to be done: of two, one could make the new primary a replica of
   * the old one, which just came back, and the other the old one a replica of the new one.
   */
  private async stand(work: (isElected: () => boolean) => Promise<void>): Promise<void> {
    const votes: Vote[] = []
    try {
      for (const node of this.voters) {
        const vote = await this.takeVote(node)
        // Somebody else stands, and was first here.
        if (vote === 'taken') return
        if (vote !== undefined) votes.push(vote)
      }
      const isElected = () => !this.closed && votes.filter(({ held }) => held).length >= majorityOf(this.voters.length)
      if (isElected()) await work(isElected)
    } finally {
      for (const vote of votes) vote.release()
    }
  }

  /** A node that does not answer has none to give. */
  private async takeVote({ client }: SetNode): Promise<Vote | 'taken' | undefined> {
    const { channel, clock } = this.options
    const vote: Vote = { held: true, release: () => {} }
    const lose = () => {
      vote.held = false
    }
    const unwatch = client.watch({ up: () => {}, down: lose })
    try {
      await within(STEP_MS, clock, client.opened())
      const subscribing = client.subscribe(channel, { message: () => {}, restored: lose })
      vote.release = () => {
        unwatch()
        // Also one that is confirmed after all.
        void subscribing.then((unsubscribe) => unsubscribe()).catch(() => {})
      }
      await within(STEP_MS, clock, subscribing)
      const count = await within(STEP_MS, clock, client.command(['PUBSUB', 'NUMSUB', channel]))
      if (vote.held && Array.isArray(count) && Number(count[1]) === 1) return vote
      vote.release()
      return vote.held ? 'taken' : undefined
    } catch (error) {
      vote.release()
      unwatch()
      const plain = toClientError(error)
      if (plain.code === 'REPLY') throw plain
      return undefined
    }
  }

  /** The primary must be away for the replicas too, and still be after the votes were taken: somebody may have been faster. */
  private async promote(isElected: () => boolean): Promise<void> {
    const { nodes, clock } = this.options
    const asked = await this.askAgain()
    if (primaryOf(asked) !== -1 || !hasMajority(asked)) return
    const chosen = choose(asked)
    if (chosen === undefined || !isElected()) return
    const { client, describe } = nodes.find((node) => node.describe === chosen.describe) as SetNode
    // Whoever was promoted before its promoter died is a primary already, that nobody follows yet.
    if (reportOf(chosen)?.kind === 'replica') {
      await within(STEP_MS, clock, client.command(['REPLICAOF', 'NO', 'ONE']))
      await within(STEP_MS, clock, client.command(['CONFIG', 'REWRITE'])).catch(() => {})
    }
    this.options.tell(`the primary was away, and ${describe} was made the primary in its place`)
    const others = asked.filter((one) => one !== chosen && reportOf(one)?.kind === 'replica')
    await this.follow(others, describe)
  }

  /** Nodes that came back, or were not there when the primary was made one. */
  private async gather(isElected: () => boolean): Promise<void> {
    const asked = await this.askAgain()
    const primary = asked[primaryOf(asked)]
    const lost = primary === undefined ? [] : strays(asked, primary)
    if (primary === undefined || lost.length === 0 || !isElected()) return
    await this.follow(lost, primary.describe)
    const names = lost.map(({ describe }) => describe).join(', ')
    this.options.tell(`${names} came back, and was made a replica of ${primary.describe}`)
  }

  /** With the votes in hand: what was seen before somebody else may have changed. */
  private askAgain(): Promise<Asked[]> {
    const { nodes, clock } = this.options
    return askAll(nodes, { limitMs: STEP_MS, graceMs: 0, clock, enough: () => false })
  }

  private async follow(others: readonly Asked[], primary: string): Promise<void> {
    const { nodes, clock } = this.options
    const { host = '', port = '' } = hostAndPort(primary) ?? {}
    await Promise.all(
      others.map(async ({ describe }) => {
        const { client } = nodes.find((node) => node.describe === describe) as SetNode
        await within(STEP_MS, clock, client.command(['REPLICAOF', host, String(port)]))
        // So that it knows after a restart. Without a file there is nothing to write to.
        await within(STEP_MS, clock, client.command(['CONFIG', 'REWRITE'])).catch(() => {})
      }),
    )
  }
}

const reportOf = ({ answer }: Asked): NodeReport | undefined => (answer instanceof ClientError ? undefined : answer)

function hasMajority(asked: readonly Asked[]): boolean {
  return asked.filter((one) => reportOf(one) !== undefined).length >= majorityOf(asked.length)
}

/** The one that is to be the primary; undefined while a replica still reaches the old one. */
export function choose(asked: readonly Asked[]): Asked | undefined {
  const replicas = asked.filter((one) => reportOf(one)?.kind === 'replica')
  // One that is a replica itself is no primary: they may even follow each other in a circle.
  const isReplica = (address: string | undefined) => replicas.some(({ describe }) => describe === address)
  const reachesPrimary = (one: Asked) => reportOf(one)?.linkUp && !isReplica(reportOf(one)?.follows)
  if (replicas.length === 0 || replicas.some(reachesPrimary)) return undefined
  const histories = replicas.map((one) => reportOf(one)?.histories[0])
  const common = mostCommon(histories)
  const promoted = asked.find((one) => reportOf(one)?.kind === 'primary' && reportOf(one)?.histories[1] === common)
  if (promoted !== undefined) return promoted
  const able = replicas.filter((one) => reportOf(one)?.histories[0] === common && reportOf(one)?.promotable)
  const offsetOf = (one: Asked) => reportOf(one)?.offset ?? -1
  return able.sort((a, b) => offsetOf(b) - offsetOf(a) || (a.describe < b.describe ? -1 : 1))[0]
}

/** Those that should follow the primary and do not: former primaries, and replicas of one that is not there. */
export function strays(asked: readonly Asked[], primary: Asked): Asked[] {
  const followers = asked.filter((one) => reportOf(one)?.follows === primary.describe)
  // What a majority is agreed on, no other promoter sees in another way.
  if (followers.length + 1 < majorityOf(asked.length)) return []
  return asked.filter((one) => {
    const report = reportOf(one)
    if (one === primary || report === undefined) return false
    if (report.kind === 'primary') return true
    return (
      report.kind === 'replica' &&
      !report.linkUp &&
      asked.some(({ describe }) => describe !== primary.describe && describe === report.follows)
    )
  })
}

function mostCommon<T>(items: readonly T[]): T | undefined {
  const count = (item: T) => items.filter((other) => other === item).length
  return [...items].sort((a, b) => count(b) - count(a))[0]
}
