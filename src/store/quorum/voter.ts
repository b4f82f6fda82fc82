/** One of several independent servers: asked for its vote, left alone for a while when it does not answer, listened to. */

import type { RedisClient } from '../../clients/client.js'
import type { Clock } from '../../util/clock.js'
import { RedisStore } from '../redis/redis-store.js'
import { type SessionListener, StoreFailure } from '../store.js'
import { toFailure } from './poll.js'

export interface VoterOptions {
  readonly client: RedisClient
  /** `host:port`, for people. */
  readonly describe: string
  readonly prefix: string
  /** The key of the server's memory as a voter. */
  readonly memoryKey: string
  readonly clock: Clock
  readonly batchLimit?: number | undefined
  readonly claimWindowMs?: number | undefined
  readonly checkEveryMs?: number | undefined
  readonly waiterLifeMs?: number | undefined
}

/** A server that let a request go unanswered, or may not vote yet, is asked again after this time, by one request. */
const SKIP_MS = 1_000

/** What a server says that has no word of whether it may vote; see lua/includes/voter.lua. */
const FORGOTTEN = /^NOVOTE (?:no memory|restarted)/

export class Voter {
  readonly describe: string
  readonly store: RedisStore
  private readonly clock: Clock
  private readonly client: RedisClient
  private readonly sessions = new Map<string, { listener: SessionListener; leave?: () => Promise<void> }>()
  private readonly unwatch: () => void
  private proposedUs = 0
  private skipUntilMs = Number.NEGATIVE_INFINITY
  private lastFailure: StoreFailure | undefined
  /** The server is being seen to. */
  private admission: Promise<void> | undefined

  constructor(
    options: VoterOptions,
    /** The server may not vote, because it may have forgotten what it granted: resolves when that has been seen to. */
    private readonly admit: (voter: Voter) => Promise<void>,
  ) {
    const { client, describe, memoryKey, clock } = options
    this.describe = describe
    this.client = client
    this.clock = clock
    this.store = new RedisStore({ ...options, voter: { key: memoryKey, propose: () => this.proposedUs } })
    this.unwatch = client.watch({
      up: () => this.onUp(),
      down: (error) => {
        this.lastFailure = new StoreFailure('unreachable', error.message, error)
      },
    })
  }

  get isUp(): boolean {
    return this.client.isUp
  }

  /**
   * Makes a request with the time that is proposed to all servers.
   *
   * @throws StoreFailure at once while the server is known not to answer
   */
  ask<T>(proposedUs: number, request: (store: RedisStore) => Promise<T>): Promise<T> {
    // In the order in which they were asked for, or the servers' queues would differ.
    if (this.admission !== undefined) return this.admission.then(() => this.ask(proposedUs, request))
    const known = this.reasonToSkip()
    if (known !== undefined) return Promise.reject(known)
    this.proposedUs = proposedUs
    return request(this.store).then(
      (reply) => {
        this.skipUntilMs = Number.NEGATIVE_INFINITY
        this.lastFailure = undefined
        return reply
      },
      (error) => {
        const failure = toFailure(error)
        if (FORGOTTEN.test(failure.message)) return this.askWhenAdmitted(proposedUs, request)
        return this.failed(failure)
      },
    )
  }

  /** Hears what is meant for a session as soon as the server can be reached; rejects when it can't be at present. */
  async listen(session: string, listener: SessionListener): Promise<void> {
    const entry: { listener: SessionListener; leave?: () => Promise<void> } = this.sessions.get(session) ?? { listener }
    this.sessions.set(session, entry)
    if (entry.leave !== undefined) return
    const leave = await this.store.listen(session, listener)
    if (this.sessions.get(session) === entry) entry.leave = leave
    else await leave()
  }

  async leave(session: string): Promise<void> {
    const entry = this.sessions.get(session)
    this.sessions.delete(session)
    await entry?.leave?.()
  }

  async close(): Promise<void> {
    this.unwatch()
    this.sessions.clear()
    await this.store.close()
  }

  private reasonToSkip(): StoreFailure | undefined {
    if (this.lastFailure === undefined) return undefined
    if (!this.client.isUp) {
      // It connects again by itself; a library that was told not to is asked here.
      this.client.connect()
      return this.lastFailure
    }
    const nowMs = this.clock.now()
    if (nowMs < this.skipUntilMs) return this.lastFailure
    // This one request finds out.
    this.skipUntilMs = nowMs + SKIP_MS
    return undefined
  }

  private failed(failure: StoreFailure): never {
    if (failure.kind === 'unreachable' && (failure.replyCode === '' || failure.replyCode === 'NOVOTE')) {
      this.lastFailure = failure
      this.skipUntilMs = this.clock.now() + SKIP_MS
    }
    throw failure
  }

  private async askWhenAdmitted<T>(proposedUs: number, request: (store: RedisStore) => Promise<T>): Promise<T> {
    this.admission ??= this.admit(this).finally(() => {
      this.admission = undefined
    })
    await this.admission
    this.proposedUs = proposedUs
    return request(this.store).catch((error) => this.failed(toFailure(error)))
  }

  private onUp(): void {
    this.lastFailure = undefined
    this.skipUntilMs = Number.NEGATIVE_INFINITY
    // Where the first attempt failed; what fails again is tried again at the next opportunity.
    for (const [session, { listener, leave }] of this.sessions) {
      if (leave === undefined) this.listen(session, listener).catch(() => undefined)
    }
  }
}
