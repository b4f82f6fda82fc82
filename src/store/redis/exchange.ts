/**
 * The conversation with one server: operations made in the same turn of the event loop travel as one script call, every request is
 * answered or fails within a bound, and the server's clock is bounded from each answer.
 */

import type { NodeCommand, RedisClient } from '../../clients/client.js'
import { ClientError } from '../../clients/client.js'
import { isRefusal } from '../../clients/library-errors.js'
import type { Clock, Timer } from '../../util/clock.js'
import { StoreFailure } from '../store.js'
import { argumentsOf, type Batch, byKey, type Operation } from './call.js'
import { type Confirmation, ConfirmationQueue } from './confirmation.js'
import { KeepAlive } from './keep-alive.js'
import { type Answer, cut, failureIn, type Reply, repliesIn, serverFailure, unexpected } from './replies.js'
import type { Script } from './script.js'

/** A request that is not answered in this time has failed; whether it was carried out is then unknown. */
export const REQUEST_TIMEOUT_MS = 2_000

/** More operations than this do not travel in one call, so that no call keeps the server from others for long. */
const DEFAULT_BATCH_LIMIT = 128

/** Before the first answer the limit is longer: loading the client library and connecting are in it. */
const FIRST_REQUEST_TIMEOUT_MS = 5_000

/** When so many requests in a row went unanswered, the connection is given up for a new one. */
const SILENCES = 2

/** A timer that fires this late shows that the event loop stood still: replies may be waiting to be read. */
const STALL_MS = 20

/** What a server replies that is not, or not yet, the primary that it was. */
const ROLE_CODES = new Set(['READONLY', 'MASTERDOWN', 'LOADING'])

export class Exchange {
  /** Sent before the last answer on this connection, and the server's time in it: no answer yet, no bound. */
  private lastSentAtMs = Number.NaN
  private lastServerNowMs = Number.NaN
  /** Whether an answer ever came. */
  hasAnswered = false
  /** Counts connections: behind another one there may be another server, with a clock of its own. */
  private connection = 0
  private pending: Operation[] = []
  private readonly toConfirm: ConfirmationQueue<Operation>
  /** The oldest first. A Set that gets empty makes itself anew each time. */
  private readonly inFlight: Batch[] = []
  private flushing = false
  private timer: Timer | undefined
  /** Requests that are no operations: subscriptions and plain commands. */
  private others = 0
  private upWaiters: { resolve(): void; reject(error: Error): void }[] = []
  private readonly keepAlive: KeepAlive
  /** How often requests have gone unanswered since the last answer. */
  private silences = 0
  private readonly isCluster: boolean
  private lastProblem: Error | undefined
  private closed = false
  private readonly unwatch: () => void

  constructor(
    private readonly client: RedisClient,
    private readonly clock: Clock,
    private readonly script: Script,
    private readonly batchLimit = DEFAULT_BATCH_LIMIT,
    /** Says more of a conflict than the server does. */
    private readonly explain: (key: string, conflict: StoreFailure) => Promise<StoreFailure> = async (_, conflict) => conflict,
  ) {
    this.keepAlive = new KeepAlive(client, clock)
    this.isCluster = client.isCluster === true
    this.toConfirm = new ConfirmationQueue(batchLimit, client.isCluster === true)
    this.unwatch = client.watch({
      up: () => this.onUp(),
      down: (error) => this.onDown(error),
    })
  }

  /** How long a request may take at present. */
  private get limitMs(): number {
    const limitMs = this.hasAnswered ? REQUEST_TIMEOUT_MS : FIRST_REQUEST_TIMEOUT_MS
    // While the server waits for replicas it answers nothing else on the connection.
    return limitMs + this.toConfirm.underWayMs
  }

  /**
   * Sends one operation, together with all others of this turn, and resolves to what `read` makes of its answer. Those that replicas are to
   * confirm travel by themselves, and nobody else waits for them.
   */
  send<T>(key: string, text: string, read: (answer: Answer) => T, confirmation?: Confirmation): Promise<T> {
    if (this.closed) return Promise.reject(closedFailure())
    return new Promise((resolve, reject) => {
      const madeAtMs = this.clock.now()
      const operation = { key, text, madeAtMs, confirmation, read, resolve: resolve as (meaning: unknown) => void, reject }
      if (this.toConfirm.takes(operation)) this.toConfirm.add(operation)
      else this.pending.push(operation)
      this.armTimer()
      this.updateKeepAlive()
      if (this.flushing) return
      this.flushing = true
      // After every microtask that is due now: whatever those ask for goes along. No turn of the event loop passes.
      process.nextTick(this.flush)
    })
  }

  /**
   * The moment of this process's clock which is certainly not later than `serverMs` on the server's: the server's time is at most its
   * last answer's plus all that has passed since before that request was sent. NaN before the first answer on this connection.
   */
  notLaterThan(serverMs: number): number {
    return this.lastSentAtMs + (serverMs - this.lastServerNowMs)
  }

  /** Sends a plain command, under the same limit as everything else. */
  command(args: readonly string[], key?: string): Promise<unknown> {
    return this.bounded(() => this.client.command(args, key), String(args[0]))
  }

  /** What sends plain commands, under the same limit, to each node that has keys. */
  async nodes(): Promise<NodeCommand[]> {
    if (this.client.primaries === undefined) return [(args) => this.command(args)]
    // Which they are is known when it is up.
    const primaries = await this.bounded(async () => this.client.primaries?.() ?? [], 'the list of primaries')
    return primaries.map((send) => (args) => this.bounded(() => send(args), String(args[0])))
  }

  /** Makes a request that is no operation as soon as there is a connection, bounds it, and keeps the process alive until it settles. */
  async bounded<T>(request: () => Promise<T>, what: string): Promise<T> {
    let timer: Timer | undefined
    const timeout = new Promise<never>((_, reject) => {
      const limitMs = this.limitMs
      const failure = new StoreFailure('unreachable', `${what}: no answer within ${limitMs} ms`)
      timer = this.clock.after(limitMs, () => reject(failure))
    })
    this.others += 1
    this.updateKeepAlive()
    try {
      return await Promise.race([this.whenUp().then(request), timeout])
    } catch (error) {
      const failure = this.failureOf(error)
      this.heedRole(failure)
      throw failure
    } finally {
      timer?.cancel()
      this.others -= 1
      this.updateKeepAlive()
    }
  }

  private whenUp(): Promise<void> {
    if (this.closed) return Promise.reject(closedFailure())
    if (this.client.isUp) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.upWaiters.push({ resolve, reject })
      this.connect()
    })
  }

  /** `up`, `down` or the timer ends the wait. After a refused password the next attempt is seconds away: who comes meanwhile is told. */
  private connect(): void {
    this.client.connect()
    const { lastProblem } = this
    if (!this.client.isUp && lastProblem instanceof ClientError && isRefusal(lastProblem)) this.onDown(lastProblem)
  }

  /** Fails whatever is under way, and whatever comes later. */
  close(): void {
    this.closed = true
    this.unwatch()
    this.timer?.cancel()
    const failure = closedFailure()
    for (const waiter of this.upWaiters.splice(0)) waiter.reject(failure)
    this.fail([...this.pending.splice(0), ...this.toConfirm.drop()], failure)
    for (const sent of [...this.inFlight]) this.settle(sent, failure)
    this.keepAlive.close()
  }

  /** A request under way keeps the process alive until it is answered or given up; a lock that is held or waited for does not. */
  private updateKeepAlive(): void {
    this.keepAlive.set(this.pending.length + this.toConfirm.size + this.inFlight.length + this.others > 0)
  }

  private readonly flush = (): void => {
    this.flushing = false
    if (this.pending.length === 0 && this.toConfirm.size === 0) return
    if (!this.client.isUp) {
      this.connect()
      return
    }
    const all = this.pending
    this.pending = []
    if (this.isCluster) for (const ofOneName of byKey(all)) this.dispatchAll(ofOneName)
    else this.dispatchAll(all)
    // Last, so that nobody who asked at the same time stands behind the wait for replicas.
    if (this.toConfirm.size > 0) this.dispatchToConfirm()
  }

  private dispatchAll(all: readonly Operation[]): void {
    if (all.length > 0 && all.length <= this.batchLimit) return this.dispatch(all)
    for (let from = 0; from < all.length; from += this.batchLimit) this.dispatch(all.slice(from, from + this.batchLimit))
  }

  private dispatchToConfirm(): void {
    while (this.client.isUp) {
      const next = this.toConfirm.next()
      if (next === undefined) return
      this.dispatch(next.operations, next.confirmation)
    }
  }

  private dispatch(operations: readonly Operation[], confirmation?: Confirmation): void {
    const sent: Batch = { operations, sentAtMs: this.clock.now(), confirmation, connection: this.connection }
    this.inFlight.push(sent)
    this.carryOut(sent, argumentsOf(operations, this.script, this.isCluster))
  }

  private carryOut(sent: Batch, args: readonly string[]): void {
    const { confirmation } = sent
    // Every node of a Cluster has scripts, and a connection, of its own.
    const key = (sent.operations[0] as Operation).key
    if (confirmation === undefined) {
      // Two handlers for one promise: each further promise behind it would take as long as reading the answer.
      this.client.command(args, key).then(
        (reply) => this.deliver(sent, reply),
        (error) => this.notCarriedOut(sent, args, error),
      )
      return
    }
    // Right behind it on the same connection, which is what WAIT counts by.
    const wait = ['WAIT', String(confirmation.replicas), String(confirmation.withinMs)]
    Promise.all([this.client.command(args, key), this.client.command(wait, key)]).then(
      ([reply, answered]) => this.deliver(sent, reply, Number(answered)),
      (error) => this.notCarriedOut(sent, args, error),
    )
  }

  private notCarriedOut(sent: Batch, args: readonly string[], error: unknown): void {
    if (args[0] !== 'EVALSHA' || !(error instanceof ClientError) || error.replyCode !== 'NOSCRIPT') {
      const failure = this.failureOf(error, sent.operations[0]?.key)
      this.heedRole(failure)
      return this.settle(sent, failure)
    }
    // The server was restarted, or its scripts were flushed: EVAL loads the script again.
    this.carryOut(sent, ['EVAL', this.script.source, ...args.slice(2)])
  }

  /** @param replicas how many had it, where replicas were asked */
  private deliver(sent: Batch, reply: unknown, replicas?: number): void {
    const receivedAtMs = this.clock.now()
    const { operations, sentAtMs } = sent
    const found = repliesIn(reply, operations.length)
    if (found === undefined) return this.settle(sent, unexpected(reply))
    const { serverNowMs, replies } = found
    if (!this.hasAnswered) {
      // From now on the shorter limit holds.
      this.timer?.cancel()
      this.timer = undefined
      this.hasAnswered = true
    }
    if (sent.connection === this.connection) {
      this.lastSentAtMs = sentAtMs
      this.lastServerNowMs = serverNowMs
    }
    this.lastProblem = undefined
    this.silences = 0
    // A batch that was given up is answered here all the same: its operations have been told, and promises settle once.
    for (let i = 0; i < operations.length; i++) {
      this.tell(operations[i] as Operation, replies[i + 1] as Reply, sentAtMs, receivedAtMs, serverNowMs, replicas)
    }
    this.leaveFlight(sent)
    this.armTimer()
  }

  private tell(
    operation: Operation,
    reply: Reply,
    sentAtMs: number,
    receivedAtMs: number,
    serverNowMs: number,
    replicas: number | undefined,
  ): void {
    const { key } = operation
    const failure = failureIn(reply, key)
    if (failure?.kind === 'conflict') return void this.explain(key, failure).then(operation.reject, operation.reject)
    if (failure !== undefined) {
      this.heedRole(failure)
      return operation.reject(failure)
    }
    try {
      const fields = typeof reply === 'string' ? cut(reply, ' ') : reply
      operation.resolve(operation.read({ fields, sentAtMs, receivedAtMs, serverNowMs, replicas }))
    } catch (none) {
      operation.reject(none)
    }
  }

  private heedRole(failure: StoreFailure): void {
    if (ROLE_CODES.has(failure.replyCode)) this.client.lookAgain?.()
  }

  private settle(sent: Batch, failure: StoreFailure): void {
    this.fail(sent.operations, failure)
    this.leaveFlight(sent)
  }

  private leaveFlight(sent: Batch): void {
    const place = this.inFlight.indexOf(sent)
    if (place !== -1) this.inFlight.splice(place, 1)
    if (place !== -1 && sent.confirmation !== undefined) {
      this.toConfirm.done(sent.operations)
      if (!this.closed) this.dispatchToConfirm()
    }
    this.updateKeepAlive()
  }

  private fail(operations: readonly Operation[], failure: StoreFailure): void {
    for (const operation of operations) operation.reject(failure)
  }

  private onUp(): void {
    for (const waiter of this.upWaiters.splice(0)) waiter.resolve()
    this.flush()
  }

  private onDown(error: Error): void {
    this.lastProblem = error
    this.connection += 1
    this.lastSentAtMs = Number.NaN
    for (const waiter of this.upWaiters.splice(0)) waiter.reject(error)
    const failure = this.failureOf(error)
    const unsent = [...this.pending, ...this.toConfirm.drop()]
    this.pending = []
    // Those under way may have been carried out. A library that sends them again would tell the second time's outcome as if it were the first.
    for (const sent of [...this.inFlight]) this.settle(sent, failure)
    this.fail(unsent, failure)
    this.updateKeepAlive()
  }

  /** A failure of the client in the terms of the store. */
  failureOf(error: unknown, key?: string): StoreFailure {
    if (error instanceof StoreFailure) return error
    const { code, replyCode, message } = error instanceof ClientError ? error : new ClientError('CONNECTION', String(error))
    if (code === 'REPLY') return serverFailure(replyCode, message, key)
    return new StoreFailure(code === 'CLOSED' ? 'refused' : 'unreachable', message, error)
  }

  /** One timer for all requests: all have the same limit, so the oldest is the first to reach it. */
  private armTimer(stalled = false): void {
    if (this.timer !== undefined) return
    const oldest = this.inFlight[0]?.operations[0] ?? this.pending[0] ?? this.toConfirm.first
    if (oldest === undefined) return
    const dueMs = oldest.madeAtMs + this.limitMs
    this.timer = this.clock.after(stalled ? 0 : Math.max(0, dueMs - this.clock.now()), () => {
      this.timer = undefined
      if (!stalled && this.clock.now() > dueMs + STALL_MS) this.armTimer(true)
      else this.expire()
    })
  }

  private expire(): void {
    const { limitMs } = this
    const beforeMs = this.clock.now() - limitMs
    const reason = this.lastProblem === undefined ? '' : ` (${this.lastProblem.message})`
    const failure = new StoreFailure('unreachable', `no answer within ${limitMs} ms${reason}`, this.lastProblem)
    const inFlight = [...this.inFlight]
    for (const sent of inFlight) {
      if ((sent.operations[0] as Operation).madeAtMs > beforeMs) break
      this.settle(sent, failure)
      // Other nodes may answer as ever; which of its nodes says nothing, the client can tell by the key.
      if (this.isCluster) this.client.reconnect(sent.operations[0]?.key)
    }
    if (this.inFlight.length < inFlight.length) this.silences += 1
    const unsent = this.pending.findIndex((operation) => operation.madeAtMs > beforeMs)
    this.fail(this.pending.splice(0, unsent === -1 ? this.pending.length : unsent), failure)
    this.fail(this.toConfirm.drop(beforeMs), failure)
    // A connection may be dead without a sign of it. Waiting on would wait for the system's own limit, which is minutes.
    if (this.silences >= SILENCES && !this.isCluster) {
      this.silences = 0
      this.client.reconnect()
    }
    this.updateKeepAlive()
    this.armTimer()
  }
}

function closedFailure(): StoreFailure {
  return new StoreFailure('refused', 'the store was closed')
}
