/**
 * Which servers may vote. One that lost its memory would grant again what it has granted already, and with it there could be two majorities; so
 * it sits out until the longest lease that it may have granted is over, as the description of Redlock asks ("Performance, crash recovery and
 * fsync", redis.io). The server itself keeps the mark by which its scripts know (`lua/includes/voter.lua`); here it is written.
 *
 * A server without a mark among others that have one lost its memory, or is new, which makes no difference. When a majority has none, nobody can
 * have a lock: the servers are new, all of them, or have forgotten together. A server whose mark is of a former run was restarted, and may have
 * come back with a snapshot from before its last grants; only one that writes each change to disk before it answers has forgotten nothing.
 */

import type { Clock } from '../../util/clock.js'
import { majorityOf } from '../../util/majority.js'
import { keepsEverything, type Memory, readMemory, readUptimeMs, writeMemory } from '../redis/voter-memory.js'
import { StoreFailure } from '../store.js'
import { poll, type Returns } from './poll.js'
import type { Voter } from './voter.js'

/** Leases up to this length are granted without being announced. */
const USUAL_LEASE_MS = 30_000

/** Announcements are made anew after this time, long before a server forgets them. */
const ANNOUNCE_AGAIN_MS = 24 * 3_600_000

/** Several processes may meet new servers at the same time: what looks like a loss is looked at again. */
const LOOKS = 3
const LOOK_AGAIN_MS = 150

/** Of a server's clock, the answer's way, and its uptime in whole seconds. */
const MARGIN_MS = 1_000

export class Electorate {
  voters: readonly Voter[] = []
  private readonly admissions = new Map<Voter, Promise<void>>()
  private announcedMs = USUAL_LEASE_MS
  private announcedAtMs = Number.NEGATIVE_INFINITY

  constructor(
    private readonly key: string,
    private readonly clock: Clock,
  ) {}

  /** Leases of this length are about to be asked for: undefined when the servers know that already. */
  announce(leaseMs: number): Promise<void> | undefined {
    const nowMs = this.clock.now()
    const isKnown = leaseMs <= this.announcedMs && (leaseMs <= USUAL_LEASE_MS || nowMs - this.announcedAtMs < ANNOUNCE_AGAIN_MS)
    if (isKnown) return undefined
    const write = ({ store }: Voter) => writeMemory(store, this.key, { longestMs: leaseMs }).then(() => true)
    const isMajority = (returns: Returns<boolean>) => returns.number() >= majorityOf(this.voters.length) || undefined
    return poll(this.voters, write, isMajority).then(() => {
      this.announcedMs = Math.max(this.announcedMs, leaseMs)
      this.announcedAtMs = nowMs
    })
  }

  /** Sees to a server without a mark; resolves when it has one, whatever that says. */
  admit(voter: Voter): Promise<void> {
    let admission = this.admissions.get(voter)
    if (admission === undefined) {
      admission = this.examine(voter).finally(() => this.admissions.delete(voter))
      this.admissions.set(voter, admission)
    }
    return admission
  }

  private async examine(voter: Voter): Promise<void> {
    for (let look = 1; ; look++) {
      const { mine, others, unmarked } = await this.look(voter)
      if (mine !== 'none') return mine.restarted ? this.restarted(voter, [mine, ...others]) : undefined
      if (unmarked >= majorityOf(this.voters.length)) return this.found(voter)
      if (look === LOOKS) return this.sitOut(voter, others)
      await new Promise<void>((resolve) => this.clock.after(LOOK_AGAIN_MS, resolve))
    }
  }

  /** What a majority remembers, and the server itself. */
  private async look(voter: Voter) {
    const { voters } = this
    const index = voters.indexOf(voter)
    const needed = majorityOf(voters.length)
    const { values } = await poll(
      voters,
      async ({ store }) => (await readMemory(store, this.key)) ?? ('none' as const),
      (returns) => {
        const unmarked = returns.number((memory) => memory === 'none')
        const isClear = returns.values[index] !== undefined && (unmarked >= needed || returns.number() - unmarked >= needed)
        return returns.open === 0 || isClear ? returns : undefined
      },
    )
    if (values[index] === undefined) throw new StoreFailure('unreachable', `${voter.describe}: it could not be asked whether it may vote`)
    return {
      mine: values[index],
      others: values.filter((memory): memory is Memory => typeof memory === 'object'),
      unmarked: values.filter((memory) => memory === 'none').length,
    }
  }

  /** All servers are new: those that were not heard yet most likely are too, and a mark that is there stays. */
  private async found(voter: Voter): Promise<void> {
    const mark = ({ store }: Voter) => writeMemory(store, this.key, { longestMs: this.announcedMs, sitOutMs: 0 })
    for (const other of this.voters) if (other !== voter) mark(other).catch(() => undefined)
    await mark(voter)
  }

  /** Since then it has not voted: what it may have forgotten was granted before. */
  private async restarted({ store }: Voter, known: readonly Memory[]): Promise<void> {
    const longestMs = this.longestOf(known)
    const leftMs = longestMs + MARGIN_MS - (await readUptimeMs(store))
    const sitOutMs = (await keepsEverything(store)) ? 0 : Math.max(0, leftMs)
    await writeMemory(store, this.key, { longestMs, sitOutMs, restarted: true })
  }

  private async sitOut({ store }: Voter, others: readonly Memory[]): Promise<void> {
    const longestMs = this.longestOf(others)
    const uptimeMs = await readUptimeMs(store)
    // One that has been running for longer was emptied at an unknown time.
    const sitOutMs = (uptimeMs < longestMs ? longestMs - uptimeMs : longestMs) + MARGIN_MS
    await writeMemory(store, this.key, { longestMs, sitOutMs })
  }

  private longestOf(known: readonly Memory[]): number {
    return Math.max(this.announcedMs, ...known.map(({ longestMs }) => longestMs))
  }
}
