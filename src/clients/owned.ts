/**
 * The connection that this library makes itself, from an address: commands and messages on one socket, with `@redis/client`.
 * The package is loaded at the first use, because that takes a fifth of a second.
 */

import { type Clock, systemClock } from '../util/clock.js'
import type { ChannelListener, ClientError, ConnectionListener, NodeCommand, RedisClient } from './client.js'
import { backoff, Connection, type WireEvents } from './connection.js'
import { toClientError } from './library-errors.js'
import { type NodeRedisClient, type NodeRedisOptions, NodeRedisWire, wireOptions } from './node-redis-wire.js'

/** What {@link createOwnedClient} needs to know. */
export interface OwnedClientOptions {
  /**
   * Options of node-redis' `createClient`; its default address is localhost:6379. These differ from there:
   *
   * - `socket.connectTimeout`, default 5000 ms, also bounds the wait for the server's answer to the login
   * - `socket.reconnectStrategy`: a number or function gives the milliseconds until the next attempt, as in node-redis, instead of our
   *   back-off; `false`, or an Error from the function, means that no further attempt is made before one is asked for, by
   *   `connect` or by a command
   * - `commandOptions`, `pingInterval`, `socket.socketTimeout`, `disableOfflineQueue`, `maintNotifications` and client-side caching
   *   have no effect
   */
  readonly options: NodeRedisOptions
  /** Where it connects, for errors: `host:port` or a path, without credentials. */
  readonly describe: string
  /** Where the next attempt leads, in place of `options`, where that changes: asked before each attempt; it must be bounded. */
  locate?(): Promise<NodeRedisOptions>
  /** Looks at a new connection before it is used; when it rejects, the attempt has failed. */
  inspect?(send: NodeCommand): Promise<unknown>
  /** See {@link RedisClient.lookAgain}. */
  lookAgain?(): void
  /** More passwords than those in `options`, to be cut out of every text. */
  readonly secrets?: readonly string[]
  /** Default: the system's. */
  readonly clock?: Clock
  /** Of a node of a Cluster: told of a sharded channel that it does not have any more. */
  readonly misplaced?: (channel: string) => void
}

const CONNECT_TIMEOUT_MS = 5_000

/** A client whose connection is made here. */
export interface OwnedRedisClient extends RedisClient {
  /** Resolves when commands can be sent; rejects when the attempt under way fails, and at once between two attempts. */
  opened(): Promise<unknown>
  /** Connects anew at once, because `locate` leads elsewhere now. */
  redirect(reason: string): void
  /** To a node of a Cluster. */
  subscribeSharded(channel: string, listener: ChannelListener): Promise<() => Promise<void>>
}

/** Makes a client that connects at its first use: at `connect`, `command` or `subscribe`. */
export function createOwnedClient(options: OwnedClientOptions): OwnedRedisClient {
  return new OwnedClient(options)
}

class OwnedClient implements OwnedRedisClient {
  readonly library = 'node-redis (own connection)'
  readonly wake = 'publish'
  readonly warnings = []
  private readonly connection: Connection<NodeRedisWire>
  /** The second connection, for messages, to a server that speaks RESP2 only. */
  private inbox: Connection<NodeRedisWire> | undefined
  private protocol: number
  /** Never connected: it parsed the options once, and each connection is a duplicate of it. */
  private model: NodeRedisClient | undefined

  constructor(private readonly given: OwnedClientOptions) {
    this.protocol = given.options.RESP ?? 3
    this.connection = this.makeConnection((error) => this.withoutHello(error))
  }

  get isUp(): boolean {
    return this.connection.wire !== undefined
  }

  connect(): void {
    this.connection.start()
  }

  reconnect(): void {
    this.connection.reconnect()
    this.inbox?.reconnect()
  }

  opened(): Promise<unknown> {
    return this.connection.opened()
  }

  lookAgain(): void {
    this.given.lookAgain?.()
  }

  redirect(reason: string): void {
    this.connection.redirect(reason)
    this.inbox?.redirect(reason)
  }

  command(args: readonly string[]): Promise<unknown> {
    const { wire } = this.connection
    if (wire !== undefined) return wire.client.sendCommand(args).catch(this.rethrow)
    this.connection.start()
    return Promise.reject(this.connection.reason)
  }

  async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    return (await this.messages()).subscribe(channel, listener)
  }

  async subscribeSharded(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    return (await this.messages()).subscribe(channel, listener, true)
  }

  watch(listener: ConnectionListener): () => void {
    return this.connection.watch(listener)
  }

  keepProcessAlive(active: boolean): void {
    this.connection.hold(active)
  }

  async close(): Promise<void> {
    this.connection.close()
    this.inbox?.close()
  }

  /** The connection on which messages are heard. */
  private async messages(): Promise<Connection<NodeRedisWire>> {
    // What the server speaks is known from then on.
    await this.connection.opened()
    if (this.protocol === 3) return this.connection
    this.inbox ??= this.makeConnection()
    return this.inbox
  }

  private readonly rethrow = (error: unknown): never => {
    const plain = toClientError(error)
    throw plain.code === 'REPLY' ? plain : this.connection.explain(plain)
  }

  private makeConnection(mend?: (error: ClientError) => boolean): Connection<NodeRedisWire> {
    const { options, clock = systemClock, misplaced } = this.given
    const { given } = this
    return new Connection({
      makeWire: (events) => this.makeWire(events),
      get describe() {
        return given.describe
      },
      attemptMs: options.socket?.connectTimeout ?? CONNECT_TIMEOUT_MS,
      clock,
      secrets: [...secretsOf(options), ...(this.given.secrets ?? [])],
      delayMs: delayOf(options),
      mend,
      misplaced,
    })
  }

  private async makeWire(events: WireEvents): Promise<NodeRedisWire> {
    const { createClient } = (await import('@redis/client')) as unknown as { createClient(options: NodeRedisOptions): NodeRedisClient }
    const { locate, inspect } = this.given
    const options = locate === undefined ? this.given.options : await locate()
    if (locate !== undefined) this.model = undefined
    this.model ??= createClient({ ...options, ...wireOptions(options.socket, options.socket?.connectTimeout ?? CONNECT_TIMEOUT_MS) })
    const client = this.model.duplicate({ RESP: this.protocol })
    return inspect === undefined ? new NodeRedisWire(client, events) : new InspectedWire(client, events, inspect)
  }

  /** Servers older than 6, and some proxies, know no HELLO, which asks for RESP3: true when RESP2 is worth an attempt. */
  private withoutHello(error: ClientError): boolean {
    const unknown = error.replyCode === 'NOPROTO' || (error.replyCode === 'ERR' && /\bhello\b/i.test(error.message))
    if (!unknown || this.protocol !== 3) return false
    this.protocol = 2
    return true
  }
}

/** A wire that is not open before its server was looked at. */
class InspectedWire extends NodeRedisWire {
  constructor(
    client: NodeRedisClient,
    events: WireEvents,
    private readonly inspect: (send: NodeCommand) => Promise<unknown>,
  ) {
    super(client, events)
  }

  override async connect(): Promise<unknown> {
    await super.connect()
    return this.inspect((args) => this.client.sendCommand(args))
  }
}

/** `socket.reconnectStrategy` as the connection understands it. */
function delayOf(options: NodeRedisOptions): (failures: number, error: ClientError) => number | null {
  const strategy = options.socket?.reconnectStrategy
  if (strategy === false) return () => null
  if (typeof strategy === 'number') return () => strategy
  if (typeof strategy !== 'function') return backoff
  return (failures, error) => {
    try {
      const delay = strategy(failures, error)
      return typeof delay === 'number' ? delay : null
    } catch {
      return backoff(failures, error)
    }
  }
}

/** The passwords among the options. Where a text has a URL, `connection.ts` cuts the credentials out of it. */
export function secretsOf({ password, url = '' }: NodeRedisOptions): string[] {
  const inUrl = URL.canParse(url) ? decodeURIComponent(new URL(url).password) : ''
  return [password ?? '', inUrl].filter((secret) => secret !== '')
}
