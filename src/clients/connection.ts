/**
 * A connection that this library opens itself, and opens again whenever it is lost. The client libraries' own reconnecting is switched
 * off for it: their timers keep a process alive while a server is down, some send commands twice, and no two tell of it alike.
 */

import type { Clock, Timer } from '../util/clock.js'
import { type ChannelListener, ClientError, type ConnectionListener } from './client.js'
import { isRefusal, toClientError } from './library-errors.js'

/** One connection of a library, used for one attempt and thrown away when that fails or the connection is lost. */
export interface Wire {
  /** Resolves when commands can be sent. */
  connect(): Promise<unknown>
  subscribe(channels: string[]): Promise<unknown>
  unsubscribe(channels: string[]): Promise<unknown>
  /** To a node of a Cluster: as `subscribe`, to one sharded channel. */
  subscribeSharded?(channel: string): Promise<unknown>
  unsubscribeSharded?(channel: string): Promise<unknown>
  /** Whether the socket keeps the process alive, now and from its opening on. Until it is called it does not. */
  hold(active: boolean): void
  /** Ends it, connected or not; harmless a second time. */
  destroy(): void
}

/** What a wire tells while it is open. */
export interface WireEvents {
  message(channel: string, payload: string): void
  lost(error: unknown): void
  /** The server ended the subscription to a sharded channel, because its slot is no longer there. */
  misplaced(channel: string): void
}

export interface ConnectionOptions<W extends Wire> {
  /** Makes a wire, not yet connected. */
  makeWire(events: WireEvents): W | Promise<W>
  /** `host:port` for errors; no credentials. */
  readonly describe: string
  /** How long one attempt may take, until commands can be sent. */
  readonly attemptMs: number
  readonly clock: Clock
  /** Passwords, which are cut out of every text. */
  readonly secrets?: readonly string[]
  /**
   * The wait before another attempt, or null for none until someone asks; default {@link backoff}. `failures` is how many attempts failed
   * in a row; 0 when a good connection was lost.
   */
  delayMs?(failures: number, error: ClientError): number | null
  /** Told of the first attempts' failures: true when the cause was removed, and the next attempt may follow at once and unreported. */
  mend?(error: ClientError): boolean
  /** Told of a sharded channel that this node does not have any more; by then it is forgotten here. */
  misplaced?(channel: string): void
}

const FIRST_DELAY_MS = 20
const LONGEST_DELAY_MS = 1_000
/** A refused password is in every server's log, once for each attempt. */
const REFUSED_DELAY_MS = 5_000
/** A connection that lasted this long was good: its loss is followed by an attempt at once. Others may be cut off again and again. */
const GOOD_MS = 1_000

/** Full jitter: after a server's restart its clients come back spread over the whole delay. */
export function backoff(failures: number, error: ClientError): number {
  if (isRefusal(error)) return REFUSED_DELAY_MS
  if (failures === 0) return 0
  return Math.random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1))
}

interface Caller<W> {
  resolve(wire: W): void
  reject(error: ClientError): void
}

/** See the head of this file. Nothing is opened before the first `start()`, `opened()` or `subscribe()`. */
export class Connection<W extends Wire> {
  /** The open wire; undefined while there is none. Commands go straight to it. */
  wire: W | undefined
  private state: 'idle' | 'connecting' | 'up' | 'waiting' | 'closed' = 'idle'
  /** The wire of the attempt under way. */
  private coming: W | undefined
  /** Counts attempts; what an attempt reports after its successor began is not heard. */
  private attempt = 0
  private failures = 0
  private upSinceMs = 0
  private everUp = false
  private timer: Timer | undefined
  private lastError: ClientError | undefined
  private holding = false
  private anchor: NodeJS.Timeout | undefined
  private readonly callers: Caller<W>[] = []
  private readonly watchers = new Set<ConnectionListener>()
  private readonly channels = new Map<string, Set<ChannelListener>>()
  /** Which of the channels are sharded. */
  private readonly sharded = new Set<string>()

  constructor(private readonly options: ConnectionOptions<W>) {}

  /** Begins to connect, if nothing is under way. */
  start(): void {
    if (this.state === 'idle') this.begin()
  }

  /** Why there is no wire at the moment. */
  get reason(): ClientError {
    if (this.state === 'closed') return new ClientError('CLOSED', `${this.options.describe}: the client was closed`)
    if (this.lastError === undefined) return new ClientError('CONNECTION', `${this.options.describe}: not connected yet`)
    return this.lastError
  }

  /** Resolves to the wire: now, or when the attempt under way succeeds. Rejects when it fails, and at once between two attempts. */
  opened(): Promise<W> {
    if (this.wire !== undefined) return Promise.resolve(this.wire)
    this.start()
    if (this.state !== 'connecting') return Promise.reject(this.reason)
    return new Promise((resolve, reject) => this.callers.push({ resolve, reject }))
  }

  watch(listener: ConnectionListener): () => void {
    this.watchers.add(listener)
    return () => void this.watchers.delete(listener)
  }

  /** While active, the process stays alive: through the socket, and without one for as long as another attempt will follow. */
  hold(active: boolean): void {
    this.holding = active
    this.wire?.hold(active)
    this.coming?.hold(active)
    this.fasten()
  }

  async subscribe(channel: string, listener: ChannelListener, isSharded = false): Promise<() => Promise<void>> {
    const wire = await this.opened()
    // Closed or lost in between: node-redis would queue it for ever.
    if (wire !== this.wire) throw this.reason
    const listeners = this.channels.get(channel) ?? new Set()
    this.channels.set(channel, listeners.add(listener))
    if (isSharded) this.sharded.add(channel)
    try {
      await (isSharded ? wire.subscribeSharded?.(channel) : wire.subscribe([channel]))
    } catch (error) {
      await this.unsubscribe(channel, listener)
      throw this.explain(error)
    }
    return () => this.unsubscribe(channel, listener)
  }

  /** Gives up the open connection for a new one. */
  reconnect(): void {
    if (this.wire !== undefined) this.lost(new ClientError('CONNECTION', `${this.options.describe}: no answer, connecting anew`))
  }

  /** Connects anew at once, because another attempt leads elsewhere: whatever is open, under way or waited for is given up. */
  redirect(reason: string): void {
    if (this.state === 'idle') return
    const { coming, wire } = this
    if (wire !== undefined) this.lost(new ClientError('CONNECTION', reason))
    // Also by whoever was just told.
    if (this.state === 'closed') return
    this.failures = 0
    this.begin()
    coming?.destroy()
  }

  close(): void {
    if (this.state === 'closed') return
    const wire = this.wire ?? this.coming
    this.leave('closed')
    wire?.destroy()
    this.answer((caller) => caller.reject(this.reason))
    this.watchers.clear()
    this.channels.clear()
  }

  /** A library's failure as our error, with the address and without secrets. */
  explain(error: unknown): ClientError {
    const { describe, secrets = [] } = this.options
    const plain = toClientError(error, this.state === 'closed' ? 'CLOSED' : 'CONNECTION')
    let text = plain.message.replace(/\/\/[^/\s]*@/g, '//***@')
    if (!text.includes(describe)) text = `${describe}: ${text}`
    for (const secret of secrets) text = text.replaceAll(secret, '***')
    return new ClientError(plain.code, text, plain.replyCode)
  }

  private begin(): void {
    this.leave('connecting')
    const attempt = this.attempt
    this.run(attempt).then(
      (wire) => (attempt === this.attempt ? this.succeeded(wire) : wire.destroy()),
      (error) => attempt === this.attempt && this.failed(this.explain(error)),
    )
  }

  private async run(attempt: number): Promise<W> {
    const wire = await this.options.makeWire({
      message: (channel, payload) => this.deliver(channel, payload),
      lost: (error) => attempt === this.attempt && this.wire !== undefined && this.lost(this.explain(error)),
      misplaced: (channel) => attempt === this.attempt && this.misplaced(channel),
    })
    if (attempt !== this.attempt) return wire
    this.coming = wire
    wire.hold(this.holding)
    const { attemptMs, clock } = this.options
    // The libraries limit the time until the socket is open, not the time until the server has answered.
    this.timer = clock.after(attemptMs, () => {
      wire.destroy()
      this.failed(this.explain(`no connection within ${attemptMs} ms`))
    })
    try {
      await wire.connect()
    } catch (error) {
      wire.destroy()
      throw error
    }
    return wire
  }

  private succeeded(wire: W): void {
    this.leave('up')
    this.wire = wire
    this.everUp = true
    this.lastError = undefined
    this.upSinceMs = this.options.clock.now()
    // First in the pipe: what the commands that follow make others publish is heard.
    this.resubscribe(wire)
    this.answer((caller) => caller.resolve(wire))
    for (const watcher of this.watchers) watcher.up()
  }

  private failed(error: ClientError): void {
    if (!this.everUp && this.options.mend?.(error)) return this.begin()
    this.lastError = error
    this.failures++
    this.pause(error)
    this.answer((caller) => caller.reject(error))
    for (const watcher of this.watchers) watcher.down(error)
  }

  private lost(error: ClientError): void {
    const wire = this.wire
    this.lastError = error
    const wasGood = this.options.clock.now() - this.upSinceMs >= GOOD_MS
    this.failures = wasGood ? 0 : this.failures + 1
    this.pause(error)
    // Later, because the library is about to reject the unanswered commands, and knows the cause better than `destroy` does.
    queueMicrotask(() => wire?.destroy())
    for (const watcher of this.watchers) watcher.down(error)
  }

  /** Waits for the next attempt, or for someone to ask for it. */
  private pause(error: ClientError): void {
    const delayMs = (this.options.delayMs ?? backoff)(this.failures, error)
    this.leave(delayMs === null ? 'idle' : 'waiting')
    if (delayMs !== null) this.timer = this.options.clock.after(delayMs, () => this.begin())
  }

  private leave(next: typeof this.state): void {
    // What leaves one attempt, or the open connection, is no longer heard; success keeps its own number.
    if (next !== 'up') this.attempt++
    this.state = next
    this.wire = undefined
    this.coming = undefined
    this.timer?.cancel()
    this.timer = undefined
    this.fasten()
  }

  /** An unref'd timer does not keep a process alive, so while someone waits and there is no socket, something else must. */
  private fasten(): void {
    const needed = this.holding && (this.state === 'connecting' || this.state === 'waiting')
    if (needed) this.anchor ??= setInterval(() => {}, 2 ** 31 - 1)
    else if (this.anchor !== undefined) {
      clearInterval(this.anchor)
      this.anchor = undefined
    }
  }

  private resubscribe(wire: W): void {
    for (const channel of this.sharded) this.resubscribeSharded(wire, channel)
    const channels = [...this.channels.keys()].filter((channel) => !this.sharded.has(channel))
    if (channels.length === 0) return
    wire.subscribe(channels).then(
      () => {
        if (wire !== this.wire) return
        for (const channel of channels) for (const listener of this.channels.get(channel) ?? []) listener.restored()
      },
      () => {
        // Lost again, which is seen to, or no longer allowed to.
        if (wire === this.wire) this.timer = this.options.clock.after(LONGEST_DELAY_MS, () => this.resubscribe(wire))
      },
    )
  }

  /** One by one: they may be in different slots, of which some are another node's by now. */
  private resubscribeSharded(wire: W, channel: string): void {
    wire.subscribeSharded?.(channel).then(
      () => {
        if (wire === this.wire) for (const listener of this.channels.get(channel) ?? []) listener.restored()
      },
      () => {
        if (wire === this.wire) this.misplaced(channel)
      },
    )
  }

  private misplaced(channel: string): void {
    if (!this.sharded.delete(channel)) return
    this.channels.delete(channel)
    this.options.misplaced?.(channel)
  }

  private deliver(channel: string, payload: string): void {
    for (const listener of this.channels.get(channel) ?? []) listener.message(payload)
  }

  private async unsubscribe(channel: string, listener: ChannelListener): Promise<void> {
    const listeners = this.channels.get(channel)
    if (!listeners?.delete(listener) || listeners.size > 0) return
    this.channels.delete(channel)
    const { wire } = this
    // It fails when the connection is lost, and then the subscription is gone with it.
    await (this.sharded.delete(channel) ? wire?.unsubscribeSharded?.(channel) : wire?.unsubscribe([channel]))?.catch(() => {})
  }

  private answer(how: (caller: Caller<W>) => void): void {
    for (const caller of this.callers.splice(0)) how(caller)
  }
}
