/**
 * The port to a caller's ioredis client, of version 5 or 6, or iovalkey, a copy of version 5.
 *
 * After a lost connection these libraries send unanswered commands again. What the store sends may be sent twice: every request carries
 * an id of its own. Switching it off leaves promises that never settle.
 */

import { CallerClient } from './caller-client.js'
import type { ClientWarning } from './client.js'
import type { Wire, WireEvents } from './connection.js'

/** The part of an ioredis client that is used here. */
export interface IoredisClient {
  readonly status: string
  readonly options: { readonly keyPrefix?: string; readonly sentinels?: unknown; readonly failoverDetector?: boolean }
  readonly stream?: { unref?(): unknown }
  connect(): Promise<unknown>
  disconnect(): void
  call(command: string, ...args: string[]): Promise<unknown>
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
  duplicate(overrides?: object): IoredisClient
  on(event: string, listener: (...args: never[]) => void): unknown
  removeListener(event: string, listener: (...args: never[]) => void): unknown
}

export class IoredisPort extends CallerClient {
  readonly library = 'ioredis'
  override readonly warnings: readonly ClientWarning[]

  constructor(private readonly client: IoredisClient) {
    super(client)
    this.warnings = warningsOf(client.options)
    this.listen('ready', () => this.tellUp())
    this.listen('error', (error: unknown) => {
      this.lastError = error
    })
    // Once for every failed attempt, and for every loss.
    this.listen('close', () => this.tellDown())
    this.listen('end', () => this.tellDown())
  }

  get isUp(): boolean {
    return !this.closed && this.client.status === 'ready'
  }

  /** A client made with `lazyConnect` connects at its first command; asking for a lock is that. */
  override connect(): void {
    if (this.client.status === 'wait') this.client.connect().catch(() => {})
    else super.connect()
  }

  command(args: readonly string[]): Promise<unknown> {
    if (this.isUp) return this.client.call(...(args as [string, ...string[]])).catch(this.rethrow)
    // Its queue would carry the command out after whoever sent it gave up.
    this.connect()
    return Promise.reject(this.reason)
  }

  protected get isOver(): boolean {
    return this.client.status === 'end'
  }

  /**
   * Always a second connection. Version 6 could hear messages on the caller's own, but then it subscribes again after a loss without
   * seeing to a refusal, which ends the process as an unhandled rejection.
   */
  protected makeWire(events: WireEvents, attemptMs: number): Wire {
    return new IoredisWire(this.client, events, attemptMs)
  }
}

function warningsOf({ keyPrefix, sentinels, failoverDetector }: IoredisClient['options']): ClientWarning[] {
  const warnings: ClientWarning[] = []
  if (keyPrefix) {
    const message = `the ioredis client has keyPrefix ${JSON.stringify(keyPrefix)}, which changes the names of locks: use our prefix option instead`
    warnings.push({ code: 'KEY_PREFIX', message })
  }
  if (sentinels && !failoverDetector) {
    const message =
      'the ioredis client follows sentinels without failoverDetector: true, and goes on writing to a replaced primary for seconds'
    warnings.push({ code: 'FAILOVER_DETECTOR', message })
  }
  return warnings
}

class IoredisWire implements Wire {
  private readonly client: IoredisClient
  private lastError: unknown

  constructor(owner: IoredisClient, events: WireEvents, attemptMs: number) {
    this.client = owner.duplicate({
      lazyConnect: true,
      connectTimeout: attemptMs,
      commandTimeout: undefined,
      // `connection.ts` does all this, and one client is used for one attempt.
      retryStrategy: null,
      sentinelRetryStrategy: null,
      reconnectOnError: null,
      autoResubscribe: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
    })
    this.client.on('message', events.message)
    this.client.on('error', (error: unknown) => {
      this.lastError = error
    })
    this.client.on('connect', () => this.client.stream?.unref?.())
    this.client.on('close', () => events.lost(this.lastError ?? 'the connection was closed'))
  }

  async connect(): Promise<void> {
    try {
      await this.client.connect()
    } catch (error) {
      // Its own is "Connection is closed." whatever happened.
      throw this.lastError ?? error
    }
  }

  subscribe(channels: string[]): Promise<unknown> {
    return this.client.subscribe(...channels)
  }

  unsubscribe(channels: string[]): Promise<unknown> {
    return this.client.unsubscribe(...channels)
  }

  /** Never: the caller's own connection decides how long the process lives. */
  hold(): void {}

  destroy(): void {
    this.client.disconnect()
  }
}
