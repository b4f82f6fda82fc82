/** What this library uses of an ioredis or iovalkey client, and the wire made of one. */

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
  ssubscribe(channel: string): Promise<unknown>
  sunsubscribe(channel: string): Promise<unknown>
  duplicate(overrides?: object): IoredisClient
  on(event: string, listener: (...args: never[]) => void): unknown
  removeListener(event: string, listener: (...args: never[]) => void): unknown
}

/** A connection of its own, made like the one it is for: to the same server, through the same sentinels, or to one node of a Cluster. */
export class IoredisWire implements Wire {
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
    this.client.on('smessage', events.message)
    // Version 6 says so when a slot with a subscription went elsewhere.
    this.client.on('moved', () => this.destroy())
    this.client.on('error', (error: unknown) => {
      this.lastError = error
      // Version 5 takes the server's word of such a slot for an answer to nothing, and trusts its own count of answers no more.
      if (String(error).includes('Command queue state error')) this.destroy()
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

  subscribeSharded(channel: string): Promise<unknown> {
    return this.client.ssubscribe(channel)
  }

  unsubscribeSharded(channel: string): Promise<unknown> {
    return this.client.sunsubscribe(channel)
  }

  /** Never: the caller's own connection decides how long the process lives. */
  hold(): void {}

  destroy(): void {
    this.client.disconnect()
  }
}
