/** What the ports to a caller's own client have in common: it is listened to and used, and never opened, changed or closed. */

import { systemClock } from '../util/clock.js'
import {
  type ChannelListener,
  ClientError,
  type ClientWarning,
  type ConnectionListener,
  type RedisClient,
  type WakeKind,
} from './client.js'
import { Connection, type Wire, type WireEvents } from './connection.js'
import { toClientError } from './library-errors.js'

/** The part of Node's EventEmitter that is used here; every library's client has it. */
interface Emitter {
  on(event: string, listener: (...args: never[]) => void): unknown
  removeListener(event: string, listener: (...args: never[]) => void): unknown
}

/** How long the second connection may take to be opened: with half a second each way, a library's handshake takes several. */
const INBOX_ATTEMPT_MS = 5_000

export abstract class CallerClient implements RedisClient {
  abstract readonly library: string
  abstract readonly isUp: boolean
  readonly wake: WakeKind = 'publish'
  readonly warnings: readonly ClientWarning[] = []
  /** The last error that the library told of, until the connection stands again: why there is none. */
  protected lastError: unknown
  protected closed = false
  private inbox: Connection<Wire> | undefined
  private readonly watchers = new Set<ConnectionListener>()
  private readonly added: [event: string, listener: (...args: never[]) => void][] = []

  /** @param emitter what emits the client's events */
  constructor(private readonly emitter: Emitter) {}

  abstract command(args: readonly string[], key?: string): Promise<unknown>
  /** Whether its owner closed it, or the library gave up connecting. */
  protected abstract get isOver(): boolean
  /** A wire of the caller's making, for messages. */
  protected abstract makeWire(events: WireEvents, attemptMs: number): Wire | Promise<Wire>

  /** Connecting is the owner's business. Where nothing will come of waiting, those who watch hear why. */
  connect(): void {
    if (this.isOver) this.tellDown()
  }

  reconnect(_key?: string): void {
    this.inbox?.reconnect()
  }

  /** On a connection of its own, opened at the first use. */
  async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.closed) throw this.reason
    this.inbox ??= new Connection({
      describe: 'the connection for messages',
      attemptMs: INBOX_ATTEMPT_MS,
      clock: systemClock,
      makeWire: (events) => this.makeWire(events, INBOX_ATTEMPT_MS),
    })
    return this.inbox.subscribe(channel, listener)
  }

  watch(listener: ConnectionListener): () => void {
    this.watchers.add(listener)
    return () => void this.watchers.delete(listener)
  }

  /** The caller's connection keeps the process alive or not as the caller decided, and the one for messages never does. */
  keepProcessAlive(): void {}

  async close(): Promise<void> {
    this.closed = true
    this.inbox?.close()
    this.watchers.clear()
    for (const [event, listener] of this.added.splice(0)) this.emitter.removeListener(event, listener)
  }

  /** Listens to the caller's client, until `close`. */
  protected listen(event: string, listener: (...args: never[]) => void): void {
    this.emitter.on(event, listener)
    this.added.push([event, listener])
  }

  /** Why the client is not up. */
  protected get reason(): ClientError {
    if (this.closed) return new ClientError('CLOSED', 'the client was closed')
    const cause = this.lastError === undefined ? undefined : toClientError(this.lastError)
    if (this.isOver) return new ClientError('CLOSED', cause ? `the client gave up: ${cause.message}` : 'the client was closed by its owner')
    return cause ?? new ClientError('CONNECTION', 'the client is not connected')
  }

  protected tellUp(): void {
    // ioredis tells a turn late, when it may be down again.
    if (!this.isUp) return
    this.lastError = undefined
    for (const watcher of this.watchers) watcher.up()
  }

  protected tellDown(): void {
    for (const watcher of this.watchers) watcher.down(this.reason)
  }

  /** Made once for all commands, as their only handler of failures. */
  protected readonly rethrow = (error: unknown): never => {
    const plain = toClientError(error)
    // The library says "closed" in many ways; whether it is for good, the client itself knows better.
    throw plain.code === 'CONNECTION' && this.reason.code === 'CLOSED' ? this.reason : plain
  }
}
