/** What the cases of the store suite work with: a store, sessions that ask and listen, and time that passes. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClaimReply, ClaimRequest, Clock, Grant, HolderRecord, LockStore, SessionListener, WaiterRecord } from '../../memory.js'

/** A store on a namespace of its own. */
export interface StoreUnderTest {
  readonly store: LockStore
  /** A second store on the same server and namespace, as another process has it. Default: the same store. */
  readonly peer?: LockStore
  /** The clock on which the store's moments lie. Default: the process's monotonic one. */
  readonly clock?: Pick<Clock, 'now'>
  /** Lets time pass on that clock, and whatever it causes happen. Default: waiting. */
  advance?(ms: number): Promise<void>
  /** Closes whatever was opened; the stores may be closed already. By now nobody holds or waits: what is left over can be looked for here. */
  close(): Promise<void>
}

/** How the suite gets at a store. For speed, give it a claim window of some hundred milliseconds and a waiter's life of one or two thousand. */
export interface StoreHarness {
  /** Called for every case; each must find its names unused. */
  open(): Promise<StoreUnderTest>
  /** How long the store keeps a waiter that shows no sign of life. Without it, the cases about that are skipped. */
  readonly waiterLifeMs?: number
  /** True: the store learns at once that a waiter's session listens no more, and passes it over. */
  readonly seesWhoIsGone?: boolean
  /** Why the store refuses claims on one of several permits; without it, it grants them. */
  readonly refusesLimits?: string
  /** True: a grant may come from too few servers, or untold; waiters are to ask again every `checkEveryMs`, as they do in a locksmith. */
  readonly asksRegularly?: boolean
  /** True: the store does not tell a waiter of its grant, but that it should ask, as on a Cluster. What only such a push can show is skipped. */
  readonly hintsOnly?: boolean
}

/** What a session has heard. */
export interface Heard {
  readonly id: string
  readonly grant: Grant
  readonly atMs: number
}

export type Overrides = Partial<Omit<ClaimRequest, 'name'>>
export type Granted = Extract<ClaimReply, { status: 'granted' }>
export type Waiting = Extract<ClaimReply, { status: 'waiting' }>

/** A claim with the reply that it got. */
export interface Claimed<Reply> {
  readonly request: ClaimRequest
  readonly id: string
  readonly reply: Reply
}

/** Within this time whatever must happen has happened. */
const PATIENCE_MS = 5_000

/** Where time stands still, something that takes more turns of the event loop than this does not happen. */
const PATIENCE_TURNS = 50

/** A lease that is not meant to end within a case. */
export const LONG_MS = 60_000

let sessions = 0

export class Lab {
  /** Set by a case that closes its store. */
  closedByCase = false
  private readonly leave: (() => Promise<void>)[] = []

  constructor(
    private readonly underTest: StoreUnderTest,
    readonly harness: StoreHarness,
  ) {}

  get store(): LockStore {
    return this.underTest.store
  }

  /** The same locks, as another process sees them. */
  get peer(): LockStore {
    return this.underTest.peer ?? this.underTest.store
  }

  now(): number {
    return (this.underTest.clock ?? performance).now()
  }

  /** A session that listens. */
  async session(store = this.store): Promise<Session> {
    const session = new Session(this, store)
    const leave = await store.listen(session.name, session)
    session.leave = leave
    this.leave.push(leave)
    return session
  }

  /** Takes away whatever a case left: everything that a name had must go with it. */
  async clear(): Promise<void> {
    if (this.closedByCase) return
    const { held, pending } = await this.peer.query({})
    for (const { name, id } of pending) await this.peer.release(name, id, { withdraw: true })
    for (const name of new Set(held.map((one) => one.name))) await this.peer.forceRelease(name)
    assert.deepEqual(await this.peer.query({}), { held: [], pending: [] }, 'nothing is left')
  }

  async close(): Promise<void> {
    try {
      for (const leave of this.leave) await leave().catch(() => undefined)
    } finally {
      await this.underTest.close()
    }
  }

  /** Lets at least so much time pass. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.now() + ms
    if (this.underTest.advance) await this.underTest.advance(ms)
    // A timer may fire a little early.
    while (this.now() < untilMs) await delay(Math.max(1, untilMs - this.now()))
  }

  /** Asks again and again, while time passes, until there is something other than undefined or false. */
  async until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false, stepMs = 5): Promise<T> {
    const endMs = this.now() + PATIENCE_MS
    for (;;) {
      const found = await look()
      if (found !== undefined && found !== false) return found
      assert.ok(this.now() < endMs, `${what}: not within ${PATIENCE_MS} ms`)
      await this.pass(stepMs)
    }
  }

  /** Waits for something that has been set in motion and that needs no time of the store's clock. */
  async arrival<T>(what: string, look: () => T | undefined): Promise<T> {
    const endMs = performance.now() + PATIENCE_MS
    for (let turn = 0; ; turn++) {
      const found = look()
      if (found !== undefined) return found
      const patient = this.underTest.advance ? turn < PATIENCE_TURNS : performance.now() < endMs
      assert.ok(patient, `${what} did not arrive`)
      await (this.underTest.advance ? new Promise((resolve) => setImmediate(resolve)) : delay(1))
    }
  }

  async held(name: string): Promise<HolderRecord[]> {
    return (await this.peer.query({ name })).held
  }

  async pending(name: string): Promise<WaiterRecord[]> {
    return (await this.peer.query({ name })).pending
  }

  /** Nobody holds, nobody waits, and whoever comes gets the whole name at once. */
  async assertFree(name: string): Promise<void> {
    assert.deepEqual(await this.peer.query({ name }), { held: [], pending: [] }, 'nobody holds and nobody waits')
    const other = await this.session(this.peer)
    const { id } = await other.take(name)
    assert.equal((await this.peer.release(name, id)).status, 'released')
  }

  /** The name is taken: a single attempt, by a session of its own, is turned away. */
  async assertTaken(name: string): Promise<void> {
    const other = await this.session(this.peer)
    const { reply } = await other.ask(name, { queue: false })
    assert.equal(reply.status, 'busy', 'the name is taken')
  }

  /**
   * Tries to get the whole name until it is granted, and checks that this was not sooner than `notBeforeMs`: another observer's proof that
   * a lease stood as long as its holder was told.
   */
  async assertTakenUntil(name: string, notBeforeMs: number): Promise<Claimed<Granted>> {
    const other = await this.session(this.peer)
    const watch = async (): Promise<Claimed<Granted> | undefined> => {
      const { request, id, reply } = await other.ask(name, { queue: false })
      const atMs = this.now()
      if (reply.status !== 'granted') return undefined
      assert.ok(atMs >= notBeforeMs, `another was let in ${notBeforeMs - atMs} ms before the time`)
      return { request, id, reply }
    }
    // Without a pause towards the end, where it is decided.
    return this.until(
      `the end of the lease on ${JSON.stringify(name)}`,
      async () => {
        const near = Math.abs(notBeforeMs - this.now()) < 6
        for (let i = 0; near && i < 20; i++) {
          const got = await watch()
          if (got) return got
        }
        return watch()
      },
      1,
    )
  }
}

/** One identity: its claims, and what it hears. */
export class Session implements SessionListener {
  readonly name = `session${(sessions++).toString(36)}`
  readonly grants: Heard[] = []
  readonly changes: string[] = []
  /** The claims that were told that others wait as well. */
  readonly crowded: string[] = []
  leave: () => Promise<void> = async () => undefined
  private claims = 0
  private readonly requests = new Map<string, ClaimRequest>()
  private readonly sent = new Map<string, Claimed<ClaimReply>>()

  constructor(
    private readonly lab: Lab,
    readonly store: LockStore,
  ) {}

  granted(id: string, grant: Grant): void {
    this.grants.push({ id, grant, atMs: this.lab.now() })
  }

  changed(id: string): void {
    this.changes.push(id)
  }

  othersWait(id: string): void {
    this.crowded.push(id)
  }

  restored(): void {}
  disconnected(): void {}
  warning(): void {}

  /** An exclusive claim with a long lease and an id of its own, unless told otherwise. */
  request(name: string, overrides: Overrides = {}): ClaimRequest {
    this.claims += 1
    const id = `${this.name}.${this.claims}`
    const usual = { mode: 'exclusive', permits: 1, limit: 0, ttlMs: LONG_MS, priority: 0, ticket: 0, queue: true, info: '' } as const
    const request = { name, id, ...usual, ...overrides }
    this.requests.set(request.id, request)
    return request
  }

  async ask(name: string, overrides?: Overrides): Promise<Claimed<ClaimReply>> {
    return this.send(this.request(name, overrides))
  }

  async send(request: ClaimRequest): Promise<Claimed<ClaimReply>> {
    const claimed = { request, id: request.id, reply: await this.store.acquire(request) }
    this.sent.set(request.id, claimed)
    return claimed
  }

  /** Claims what must be free. */
  async take(name: string, overrides?: Overrides): Promise<Claimed<Granted>> {
    const { request, id, reply } = await this.ask(name, overrides)
    assert.equal(reply.status, 'granted', `the claim on ${JSON.stringify(name)}`)
    return { request, id, reply: reply as Granted }
  }

  /** Claims what must be taken, and stands in the queue. */
  async wait(name: string, overrides?: Overrides): Promise<Claimed<Waiting>> {
    const { request, id, reply } = await this.ask(name, overrides)
    assert.equal(reply.status, 'waiting', `the claim on ${JSON.stringify(name)}`)
    return { request, id, reply: reply as Waiting }
  }

  /** The same request again, as a waiter sends it: with its ticket. */
  async again({ request, reply }: Claimed<ClaimReply>): Promise<ClaimReply> {
    return this.store.acquire({ ...request, ticket: reply.status === 'waiting' ? reply.ticket : request.ticket })
  }

  /** Asks again until it is granted: for what no push announces. */
  async granting(claimed: Claimed<Waiting>): Promise<Granted> {
    return this.lab.until(`the grant of ${claimed.id}`, async () => {
      const reply = await this.again(claimed)
      return reply.status === 'granted' && reply
    })
  }

  /** The pushed grant of a waiting claim. */
  async hears(id: string): Promise<Heard> {
    if (this.lab.harness.hintsOnly) await this.asksWhenTold(id)
    if (this.lab.harness.asksRegularly) await this.asksRegularly(id)
    return this.lab.arrival(`the grant of ${id}`, () => this.grants.find((heard) => heard.id === id))
  }

  /** Waits for a pushed grant and confirms it, as a waiter does that enters; or asks again, if it is told that this is needed. */
  async enters(claimed: Claimed<Waiting>): Promise<Grant> {
    const { id, request } = claimed
    if (this.lab.harness.hintsOnly) return (await this.hears(id)).grant
    if (this.lab.harness.asksRegularly) await this.asksRegularly(id)
    const heard = await this.lab.arrival(`the grant of ${id}`, () => {
      return this.grants.find((one) => one.id === id) ?? this.changes.find((changed) => changed === id)
    })
    if (typeof heard === 'string') {
      const reply = await this.again(claimed)
      assert.equal(reply.status, 'granted', `the claim ${id}, of which a change was told`)
      return reply as Granted
    }
    assert.equal((await this.store.renew(request.name, id, request.ttlMs)).status, 'held', `the pushed grant of ${id}`)
    return heard.grant
  }

  /** Resolves when all has arrived that this session was told before: messages to one session do not overtake one another. */
  async hasHeardAll(): Promise<void> {
    // From several nodes they do: nothing but time is proof then, and a message takes a thousandth of it.
    if (this.lab.harness.hintsOnly) return this.lab.pass(100)
    const name = `${this.name} heard all`
    const first = await this.take(name)
    const next = await this.wait(name)
    await this.store.release(name, first.id)
    await this.hears(next.id)
    await this.store.release(name, next.id)
  }

  /** The ids of the claims on this name that it heard of. */
  async heardOf(claims: readonly Claimed<Waiting>[]): Promise<string[]> {
    await this.hasHeardAll()
    const heard = this.lab.harness.hintsOnly ? await this.grantsHintedAt(claims) : this.grants.map((one) => one.id)
    return heard.filter((id) => claims.some((claim) => claim.id === id))
  }

  /** A hint may be for nothing; those that are none of a grant don't count, and their order says nothing. */
  private async grantsHintedAt(claims: readonly Claimed<Waiting>[]): Promise<string[]> {
    const names = new Set(claims.map(({ request }) => request.name))
    const held = (await Promise.all([...names].map((name) => this.lab.held(name)))).flat()
    return claims.map(({ id }) => id).filter((id) => this.changes.includes(id) && held.some((one) => one.id === id))
  }

  /** What a waiter does where it is not told of its grant, but to ask. */
  /** As a waiter does that may not have been told. */
  private async asksRegularly(id: string): Promise<void> {
    const request = this.requests.get(id) as ClaimRequest
    const reply = this.sent.get(id)?.reply
    const heard = () => this.grants.some((one) => one.id === id)
    for (let asked = 0; !heard() && asked < PATIENCE_MS / this.lab.store.checkEveryMs; asked++) {
      const untilMs = this.lab.now() + this.lab.store.checkEveryMs
      while (!heard() && this.lab.now() < untilMs) await this.lab.pass(1)
      if (heard()) return
      const ticket = reply?.status === 'waiting' ? reply.ticket : request.ticket
      const again = await this.store.acquire({ ...request, ticket })
      if (again.status === 'granted') this.granted(id, again)
    }
  }

  private async asksWhenTold(id: string): Promise<void> {
    const request = this.requests.get(id) as ClaimRequest
    for (let asked = 0; !this.grants.some((heard) => heard.id === id); ) {
      const told = () => this.changes.filter((one) => one === id).length
      asked = await this.lab.arrival(`the hint to ${id}`, () => (told() > asked ? told() : undefined))
      const reply = await this.store.acquire(request)
      if (reply.status === 'granted') this.granted(id, reply)
    }
  }
}

/** A case of the suite, on a store that was opened for it. */
export interface StoreCase {
  readonly name: string
  /** Why a store of this harness can't be held to it; undefined: it can, as is the default. */
  skip?(harness: StoreHarness): string | undefined
  /** It claims permits of a limit above 1. */
  readonly needsLimits?: boolean
  run(lab: Lab): Promise<void>
}

/** Why a case is skipped that is about the time between a grant and its waiter's first request. */
export function needsGrants(harness: StoreHarness): string | undefined {
  return harness.hintsOnly ? 'the store does not tell a waiter of its grant, but that it should ask' : undefined
}

/** A reader: one permit of no limit. */
export const READER = { mode: 'counted', permits: 1, limit: 0 } as const

/** k permits of n. */
export function counted(permits: number, limit: number) {
  return { mode: 'counted', permits, limit } as const
}
