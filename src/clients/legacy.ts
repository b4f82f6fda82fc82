/**
 * The port to a caller's client of the old callback style: node_redis 2.8 and 3, and before them redis 0.7 and haredis.
 *
 * The latter two can't open a second connection like their own, so nothing can wake them and their waiters poll. (haredis has one that
 * hears messages, but after losing just that one it subscribes to nothing again.)
 */

import { CallerClient } from './caller-client.js'
import { ClientError, type ClientWarning, type WakeKind } from './client.js'
import type { Wire, WireEvents } from './connection.js'

type Callback = (error: unknown, reply?: unknown) => void

/** The part of an old client that is used here. */
export interface LegacyClient {
  readonly ready: boolean
  readonly closing?: boolean
  readonly options?: { readonly prefix?: string; readonly return_buffers?: boolean; readonly detect_buffers?: boolean }
  readonly stream?: { unref?(): unknown }
  /** haredis has none before it is connected. */
  send_command?(command: string, args: readonly string[], callback: Callback): unknown
  subscribe(channels: string[], callback: Callback): unknown
  unsubscribe(channels: string[], callback: Callback): unknown
  duplicate?(overrides: object): LegacyClient
  end(flush: boolean): unknown
  on(event: string, listener: (...args: never[]) => void): unknown
  removeListener(event: string, listener: (...args: never[]) => void): unknown
  removeAllListeners(): unknown
}

export class LegacyPort extends CallerClient {
  readonly library = 'legacy'
  override readonly wake: WakeKind
  override readonly warnings: readonly ClientWarning[]
  private readonly returnsBuffers: boolean
  /** Whether the present loss was told of. */
  private isTold = false

  constructor(private readonly client: LegacyClient) {
    super(client)
    this.wake = client.duplicate ? 'publish' : 'none'
    const { prefix, return_buffers, detect_buffers } = client.options ?? {}
    const message = `the redis client has prefix ${JSON.stringify(prefix)}, which changes the names of locks: use our prefix option instead`
    this.warnings = prefix ? [{ code: 'KEY_PREFIX', message }] : []
    this.returnsBuffers = Boolean(return_buffers || detect_buffers)
    this.listen('ready', () => {
      this.isTold = false
      this.tellUp()
    })
    this.listen('error', (error: unknown) => {
      if (client.ready) return
      this.lastError = error
      this.tell()
    })
    // The same loss again, or one without an error. haredis knows only the latter of the two.
    for (const event of ['end', 'reconnecting']) this.listen(event, () => this.isTold || client.ready || this.tell())
  }

  get isUp(): boolean {
    return !this.closed && this.client.ready && this.client.send_command !== undefined
  }

  command(args: readonly string[]): Promise<unknown> {
    if (!this.isUp) return Promise.reject(this.reason)
    return new Promise((resolve, reject) => {
      const [name = '', ...rest] = args
      this.client.send_command?.(name, rest, (error, reply) => {
        if (error) reject(error)
        else resolve(this.returnsBuffers ? asText(reply) : reply)
      })
    }).catch(this.rethrow)
  }

  override async subscribe(...given: Parameters<CallerClient['subscribe']>): Promise<() => Promise<void>> {
    if (this.wake === 'none') throw new ClientError('CONNECTION', 'this client has no second connection to hear messages on')
    return super.subscribe(...given)
  }

  private tell(): void {
    this.isTold = true
    this.tellDown()
  }

  protected get isOver(): boolean {
    return Boolean(this.client.closing)
  }

  protected makeWire(events: WireEvents, attemptMs: number): Wire {
    // Without duplicate() `subscribe` does not come this far.
    return new LegacyWire(this.client as Required<LegacyClient>, events, attemptMs)
  }
}

/** Replies of a client that was made with `return_buffers`. */
function asText(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString()
  return Array.isArray(reply) ? reply.map(asText) : reply
}

class LegacyWire implements Wire {
  private readonly client: LegacyClient
  private readonly ready: Promise<void>
  private isOver = false

  constructor(owner: Required<LegacyClient>, events: WireEvents, attemptMs: number) {
    let refuse: (cause: unknown) => void
    const gone = (cause: unknown): void => {
      refuse(cause)
      events.lost(cause)
    }
    // It connects at once.
    const client = owner.duplicate({
      connect_timeout: attemptMs,
      return_buffers: false,
      detect_buffers: false,
      disable_resubscribing: true,
      // `connection.ts` connects again, with another client. This is the one place where both versions tell the cause.
      retry_strategy: ({ error }: { error?: Error | null }) => void gone(error ?? 'the connection was closed'),
    })
    this.client = client
    this.ready = new Promise((resolve, reject) => {
      refuse = reject
      client.on('ready', resolve)
    })
    this.ready.catch(() => {})
    client.stream?.unref?.()
    client.on('message', events.message)
    client.on('error', gone)
  }

  connect(): Promise<void> {
    return this.ready
  }

  subscribe(channels: string[]): Promise<unknown> {
    return new Promise((resolve, reject) => this.client.subscribe(channels, (error) => (error ? reject(error) : resolve(undefined))))
  }

  unsubscribe(channels: string[]): Promise<unknown> {
    return new Promise((resolve, reject) => this.client.unsubscribe(channels, (error) => (error ? reject(error) : resolve(undefined))))
  }

  /** Never: the caller's own connection decides how long the process lives. */
  hold(): void {}

  destroy(): void {
    if (this.isOver) return
    this.isOver = true
    this.client.removeAllListeners()
    this.client.on('error', () => {})
    // With true it answers what is under way.
    this.client.end(true)
  }
}
