/**
 * The port to a caller's node-redis sentinel, of version 5 or 6. Commands go to its client of the primary and not through the library, which
 * would send them again after a loss, and keep them while there is no primary. Messages come over a connection of our own to the same server;
 * both follow when the sentinels name another primary.
 */

import { CallerClient } from './caller-client.js'
import { ClientError } from './client.js'
import type { Wire, WireEvents } from './connection.js'
import { keepListening, type NodeRedisClient, NodeRedisWire, wireOptions } from './node-redis-wire.js'

/** The part of a node-redis sentinel that is used here. */
export interface NodeRedisSentinel {
  readonly isOpen: boolean
  /** A client is a view of the real one, which emits the events. */
  readonly _self?: NodeRedisSentinel
  /** Not documented: calls the function with the client of the primary, as soon as there is one. */
  _execute<T>(isReadonly: boolean, use: (primary: NodeRedisClient) => Promise<T>): Promise<T>
  on(event: string | symbol, listener: (...args: never[]) => void): unknown
  listenerCount(event: string | symbol): number
  removeListener(event: string, listener: (...args: never[]) => void): unknown
}

/** As for a client of one server. */
const COMMAND_OPTIONS = Object.freeze({ timeout: 0, typeMapping: Object.freeze({}), abortSignal: undefined, asap: false })

const HEARD = ['ready', 'error', 'end'] as const

export class NodeRedisSentinelPort extends CallerClient {
  readonly library = 'node-redis sentinel'
  readonly follows = true
  /** The library's client of the primary, while there is one. */
  private primary: NodeRedisClient | undefined
  private seeking = false
  private wasOpen: boolean

  constructor(private readonly sentinel: NodeRedisSentinel) {
    const emitter = sentinel._self ?? sentinel
    super(emitter)
    if (emitter !== sentinel) keepListening(emitter)
    this.wasOpen = sentinel.isOpen
    this.listen('topology-change', ({ type }: { type?: string }) => {
      if (type === 'MASTER_CHANGE') this.seek()
    })
    this.listen('error', (error: unknown) => {
      this.lastError = error
      if (!this.isUp) this.tellDown()
    })
    this.seek()
  }

  get isUp(): boolean {
    return !this.closed && this.sentinel.isOpen && this.primary?.isReady === true
  }

  override connect(): void {
    if (!this.sentinel.isOpen) this.tellDown()
    else if (this.primary === undefined) this.seek()
  }

  command(args: readonly string[]): Promise<unknown> {
    const { primary } = this
    if (!this.isUp || primary === undefined) return Promise.reject(this.reason)
    return primary.sendCommand(args, COMMAND_OPTIONS).catch(this.rethrow)
  }

  override async close(): Promise<void> {
    this.leave()
    await super.close()
  }

  protected get isOver(): boolean {
    return this.wasOpen && !this.sentinel.isOpen
  }

  protected override get reason(): ClientError {
    if (this.closed || this.wasOpen || this.sentinel.isOpen || this.lastError !== undefined) return super.reason
    return new ClientError('CONNECTION', 'the client is not connected: call its connect(), which this library leaves to its owner')
  }

  protected makeWire(events: WireEvents, attemptMs: number): Wire {
    if (this.primary === undefined) throw this.reason
    return new NodeRedisWire(this.primary.duplicate(wireOptions(this.primary.options?.socket, attemptMs)), events)
  }

  /** Asks the library for its client of the primary; the answer comes when there is one. */
  private seek(): void {
    if (this.seeking || this.closed || !this.sentinel.isOpen) return
    this.seeking = true
    this.wasOpen = true
    // In an object, as nothing is known of what a client would be to a promise.
    const found = this.sentinel._execute(false, async (primary) => ({ primary }))
    found.then(
      ({ primary }) => {
        this.seeking = false
        if (!this.closed) this.follow(primary)
      },
      (error) => {
        this.seeking = false
        this.lastError = error
        if (!this.closed) this.tellDown()
      },
    )
  }

  private follow(primary: NodeRedisClient): void {
    if (primary === this.primary) return
    const isFirst = this.primary === undefined
    this.leave()
    this.primary = primary
    for (const event of HEARD) primary.on(event, this.hear)
    if (!isFirst) this.reconnect()
    this.tellUp()
  }

  private leave(): void {
    for (const event of HEARD) this.primary?.removeListener(event, this.hear)
    this.primary = undefined
  }

  /** The primary's connection was lost, or stands again. */
  private readonly hear = (error?: unknown): void => {
    if (this.isUp) return this.tellUp()
    if (error !== undefined) this.lastError = error
    // It connects again by itself, or another takes its place. To ask the library meanwhile would have it ask the sentinels without a pause.
    this.tellDown()
  }
}
