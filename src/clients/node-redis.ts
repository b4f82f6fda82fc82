/** The port to a caller's node-redis client, of version 4, 5 or 6 (`redis` or `@redis/client`). */

import { CallerClient } from './caller-client.js'
import { type ChannelListener, ClientError } from './client.js'
import type { Wire, WireEvents } from './connection.js'
import { keepListening, type NodeRedisClient, NodeRedisWire, wireOptions } from './node-redis-wire.js'

/**
 * Given with every command, against what the caller may have set for all of theirs: version 6's default time limit, whose timer
 * costs more than the command, replies as other types than text and numbers, and an AbortSignal.
 */
const COMMAND_OPTIONS = Object.freeze({ timeout: 0, typeMapping: Object.freeze({}), abortSignal: undefined, asap: false })

/** A version 4 client made with `legacyMode: true`: its own methods take callbacks, the real ones are under `v4`. */
type LegacyMode = NodeRedisClient & { readonly v4: Pick<NodeRedisClient, 'sendCommand'> }

interface Shared {
  readonly channel: string
  readonly listener: ChannelListener
  /** Whether the server has confirmed it. */
  stands: boolean
  hear(payload: string): void
}

export class NodeRedisPort extends CallerClient {
  readonly library = 'node-redis'
  private readonly sender: Pick<NodeRedisClient, 'sendCommand'>
  private wasOpen: boolean
  /** Whether the caller's connection can hear messages beside commands; undefined until it was asked. */
  private shares: Promise<boolean> | undefined
  /** What is subscribed to on the caller's connection. */
  private readonly shared = new Set<Shared>()

  constructor(private readonly client: NodeRedisClient) {
    const emitter = client._self ?? client
    super(emitter)
    if (emitter !== client) keepListening(emitter)
    // Version 6 merges the options of a command into the client's, which takes two microseconds unless these have the same shape.
    if (client.options?.legacyMode) this.sender = (client as LegacyMode).v4
    else this.sender = client.withCommandOptions?.(COMMAND_OPTIONS) ?? client
    this.wasOpen = client.isOpen
    this.listen('connect', () => {
      this.wasOpen = true
    })
    this.listen('ready', () => {
      this.tellUp()
      // It has subscribed again by then.
      for (const { listener, stands } of this.shared) if (stands) listener.restored()
    })
    this.listen('error', (error: unknown) => {
      // There are errors of other kinds, which leave the connection as it is.
      if (client.isReady) return
      this.lastError = error
      this.tellDown()
    })
    this.listen('end', () => this.tellDown())
  }

  get isUp(): boolean {
    return !this.closed && this.client.isReady
  }

  override connect(): void {
    if (!this.client.isOpen) this.tellDown()
  }

  command(args: readonly string[]): Promise<unknown> {
    if (!this.isUp) return Promise.reject(this.reason)
    return this.sender.sendCommand(args, COMMAND_OPTIONS).catch(this.rethrow)
  }

  /** On the caller's own connection where that speaks RESP3, which saves a connection and a tenth of the time of a hand-over. */
  override async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (!this.isUp) throw this.reason
    this.shares ??= this.speaksResp3()
    if (!(await this.shares)) return super.subscribe(channel, listener)
    // Closed or lost in between: node-redis would queue it for ever.
    if (!this.isUp) throw this.reason
    const shared: Shared = { channel, listener, stands: false, hear: (payload) => listener.message(payload) }
    this.shared.add(shared)
    try {
      await this.client.subscribe(channel, shared.hear)
    } catch (error) {
      this.shared.delete(shared)
      return this.rethrow(error)
    }
    if (!this.shared.has(shared)) throw this.reason
    shared.stands = true
    return () => this.unsubscribe(shared)
  }

  override async close(): Promise<void> {
    await super.close()
    // Not awaited: the caller's connection may be one from which no answer comes.
    for (const shared of this.shared) void this.unsubscribe(shared)
  }

  protected get isOver(): boolean {
    return this.wasOpen && !this.client.isOpen
  }

  protected override get reason(): ClientError {
    if (this.closed || this.wasOpen || this.client.isOpen || this.lastError !== undefined) return super.reason
    return new ClientError('CONNECTION', 'the client is not connected: call its connect(), which this library leaves to its owner')
  }

  protected makeWire(events: WireEvents, attemptMs: number): Wire {
    const options = { legacyMode: false, ...wireOptions(this.client.options?.socket, attemptMs) }
    return new NodeRedisWire(this.client.duplicate(options), events)
  }

  private async unsubscribe(shared: Shared): Promise<void> {
    if (!this.shared.delete(shared)) return
    const { client } = this
    if (client.isReady) await client.unsubscribe(shared.channel, shared.hear).catch(() => {})
    if (client.isReady || [...this.shared].some(({ channel }) => channel === shared.channel)) return
    // The server forgot the subscription with the connection; this keeps the client from renewing it.
    client.getPubSubListeners?.('CHANNELS').delete(shared.channel)
  }

  /** The client does not tell, and the versions' defaults differ; the server knows. */
  private async speaksResp3(): Promise<boolean> {
    // Without arguments it changes nothing. A server that does not know it, or a user who may not, is no reason to fail.
    const hello = await this.command(['HELLO']).catch((error: ClientError) => error)
    if (hello instanceof ClientError && hello.code !== 'REPLY') {
      this.shares = undefined
      throw hello
    }
    return typeof hello === 'object' && hello !== null && 'proto' in hello && hello.proto === 3
  }
}
