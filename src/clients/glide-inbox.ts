/**
 * What hears messages for a GLIDE client: a second client, made from the first one's configuration, because a GLIDE client gives all its
 * messages to the one callback that it was made with. GLIDE connects and subscribes again by itself, but tells nobody; so it is asked.
 */

import { type Clock, systemClock, type Timer } from '../util/clock.js'
import { type ChannelListener, ClientError } from './client.js'
import { type GlideClient, type GlideCommandOptions, type GlideOptions, glideError } from './glide-wire.js'

/** How long the server may take to confirm a subscription, with the connecting before it. */
const SUBSCRIBE_MS = 5_000

/** How often the connection is asked whether it is still the same, and how long an answer may take. */
const PULSE_MS = 1_000

/** GLIDE's numbers for these. */
const RESP3 = 0
const BYTES = 0

type Kind = 'exact' | 'sharded'

interface Channel {
  readonly name: string
  readonly kind: Kind
  readonly listeners: Set<ChannelListener>
  /** The connection that the server confirmed it on, as far as the server tells. */
  connection: string | undefined
}

/** See the head of this file. Nothing is opened before the first `subscribe()`. */
export class GlideInbox {
  private client: Promise<GlideClient> | undefined
  private readonly channels = new Map<string, Channel>()
  /** Subscriptions that are being made: GLIDE would go on with them, on a connection of nobody's, when it is closed meanwhile. */
  private readonly under = new Set<Promise<unknown>>()
  private timer: Timer | undefined
  private closed = false

  constructor(
    private readonly owner: GlideClient,
    private readonly clock: Clock = systemClock,
  ) {}

  async subscribe(kind: Kind, name: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.closed) throw new ClientError('CLOSED', 'the client was closed')
    const channel = this.channels.get(name) ?? { name, kind, listeners: new Set(), connection: undefined }
    this.channels.set(name, channel)
    channel.listeners.add(listener)
    const attempt = this.join(channel)
    this.under.add(attempt)
    try {
      await attempt
    } catch (error) {
      await this.unsubscribe(channel, listener)
      throw glideError(error)
    } finally {
      this.under.delete(attempt)
    }
    if (this.closed) throw new ClientError('CLOSED', 'the client was closed')
    this.schedule()
    return () => this.unsubscribe(channel, listener)
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.timer?.cancel()
    const channels = [...this.channels.values()]
    this.channels.clear()
    void this.end(channels)
  }

  private async end(channels: Channel[]): Promise<void> {
    await Promise.allSettled(this.under)
    const client = await this.client?.catch(() => undefined)
    if (client === undefined) return
    // A GLIDE client that was closed keeps its connection for up to three seconds more, with its subscriptions.
    await Promise.allSettled(channels.map((channel) => leave(client, channel)))
    client.close()
  }

  private async join(channel: Channel): Promise<void> {
    this.client ??= this.open()
    const client = await this.client.catch((error: unknown) => {
      this.client = undefined
      throw error
    })
    if (this.closed) return
    if (channel.connection === undefined) await expectRight(client, channel)
    await enter(client, channel, SUBSCRIBE_MS)
    channel.connection = await connectionOf(client, channel)
  }

  private async open(): Promise<GlideClient> {
    const options: GlideOptions = {
      ...this.owner.config,
      // It connects at the first subscription: a GLIDE client that could not be made goes on connecting, with nobody to stop it.
      lazyConnect: true,
      protocol: RESP3,
      // A message of somebody else's that is no text would end the process.
      defaultDecoder: BYTES,
      requestTimeout: PULSE_MS,
      readFrom: 'primary',
      readOnly: undefined,
      clientSideCache: undefined,
      clientCircuitBreaker: undefined,
      pubsubSubscriptions: { channelsAndPatterns: {}, callback: this.hear },
    }
    const client = await this.owner.constructor.createClient(options)
    // The caller's own connection decides how long the process lives.
    client.socket?.unref?.()
    return client
  }

  private readonly hear = ({ channel, message }: { channel: unknown; message: unknown }): void => {
    for (const listener of this.channels.get(String(channel))?.listeners ?? []) listener.message(String(message))
  }

  private async unsubscribe(channel: Channel, listener: ChannelListener): Promise<void> {
    const { name, listeners } = channel
    if (!listeners.delete(listener) || listeners.size > 0) return
    if (this.channels.get(name) !== channel) return
    this.channels.delete(name)
    if (this.channels.size === 0) this.timer?.cancel()
    const client = await this.client?.catch(() => undefined)
    if (client === undefined || this.closed) return
    await leave(client, channel).catch(() => {})
  }

  private schedule(): void {
    this.timer?.cancel()
    if (this.closed || this.channels.size === 0) return
    this.timer = this.clock.after(PULSE_MS, () => void this.pulse().finally(() => this.schedule()))
  }

  /** One channel speaks for all on its connection, another each time. Those of which nothing is known are asked about one by one. */
  private async pulse(): Promise<void> {
    const client = await this.client?.catch(() => undefined)
    if (client === undefined) return
    const groups = new Map<string, Channel[]>()
    for (const channel of this.channels.values()) {
      const { connection, name } = channel
      const key = connection ?? `none: ${name}`
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [channel])
      else group.push(channel)
    }
    const checks = Array.from(groups.values(), (group) =>
      this.check(client, group, group[Math.floor(Math.random() * group.length)] as Channel),
    )
    await Promise.all(checks)
  }

  /** On another connection than before, messages were lost in between: said as soon as the subscription stands there. */
  private async check(client: GlideClient, group: readonly Channel[], channel: Channel): Promise<void> {
    const connection = await connectionOf(client, channel)
    if (connection !== undefined && connection === channel.connection) return
    // Not answered; or the answer is of a connection on which the subscription may not stand yet.
    for (const each of group) each.connection = undefined
    if (connection === undefined) return
    const stands = await enter(client, channel, PULSE_MS).then(
      () => true,
      () => false,
    )
    if (!stands || this.channels.get(channel.name) !== channel) return
    channel.connection = connection
    for (const listener of channel.listeners) listener.restored()
  }
}

function enter(client: GlideClient, { name, kind }: Channel, withinMs: number): Promise<unknown> {
  return kind === 'sharded' ? client.ssubscribe([name], withinMs) : client.subscribe([name], withinMs)
}

function leave(client: GlideClient, { name, kind }: Channel): Promise<unknown> {
  return kind === 'sharded' ? client.sunsubscribe([name], SUBSCRIBE_MS) : client.unsubscribe([name], SUBSCRIBE_MS)
}

/**
 * GLIDE keeps a refused subscription to itself, and goes on trying. Who may not publish on a channel may not subscribe to it either, and a server
 * that does not know one of the two does not know the other.
 */
async function expectRight(client: GlideClient, { name, kind }: Channel): Promise<void> {
  const command = kind === 'sharded' ? 'SPUBLISH' : 'PUBLISH'
  const error = await client.customCommand([command, name, ''], placeOf(client, name)).then(() => undefined, glideError)
  if (error?.code === 'REPLY') throw error
}

/** On a Cluster: the node that GLIDE subscribes on. */
function placeOf(client: GlideClient, name: string): GlideCommandOptions | undefined {
  if (client.invokeScriptWithRoute === undefined) return undefined
  return { route: { type: 'primarySlotKey', key: name }, decoder: BYTES }
}

/** The connection that the channel's node knows this client by; undefined when nothing was answered. */
async function connectionOf(client: GlideClient, { name }: Channel): Promise<string | undefined> {
  const place = placeOf(client, name)
  try {
    const info = String(await client.customCommand(['CLIENT', 'INFO'], place))
    return /\bid=\d+ addr=\S+/.exec(info)?.[0] ?? 'one that answers'
  } catch (error) {
    // A server that does not know the command, or a user who may not: what is left to notice is that nothing is answered.
    if (glideError(error).code === 'REPLY') return 'one that answers'
    // The node may be gone. Only at a command with a key does GLIDE hear who has its place.
    if (place !== undefined) await client.customCommand(['TYPE', name], place).catch(() => {})
    return undefined
  }
}
