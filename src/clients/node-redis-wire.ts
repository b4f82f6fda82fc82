/** What this library uses of a node-redis client, of version 4, 5 or 6, and the wire made of one. */

import type { Wire, WireEvents } from './connection.js'

/** The part of a node-redis client that is used here; the package's own types differ from version to version. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  readonly isReady: boolean
  readonly options?: NodeRedisOptions
  /** Since version 5 a client is a view of the real one, which emits the events. */
  readonly _self?: NodeRedisClient
  connect(): Promise<unknown>
  sendCommand(args: readonly string[], options?: object): Promise<unknown>
  /** Since version 5: the same client, seen through other defaults. */
  withCommandOptions?(options: object): Pick<NodeRedisClient, 'sendCommand'>
  subscribe(channels: string | string[], listener: (payload: string, channel: string) => void): Promise<unknown>
  unsubscribe(channels: string | string[], listener?: (payload: string, channel: string) => void): Promise<unknown>
  sSubscribe(channel: string, listener: (payload: string, channel: string) => void): Promise<unknown>
  sUnsubscribe(channel: string, listener: (payload: string, channel: string) => void): Promise<unknown>
  duplicate(overrides?: NodeRedisOptions): NodeRedisClient
  on(event: string | symbol, listener: (...args: never[]) => void): unknown
  listenerCount(event: string | symbol): number
  removeListener(event: string, listener: (...args: never[]) => void): unknown
  /** What it would subscribe to again; since version 4, not documented. */
  getPubSubListeners?(kind: 'CHANNELS'): Map<string, unknown>
  ref(): void
  unref(): void
  /** Since version 5. */
  destroy?(): void
  /** Version 4's name for it; it rejects when there is nothing to end. */
  disconnect(): Promise<unknown> | undefined
}

/** Options of `createClient`; those that matter here. The rest is handed on as it is. */
export interface NodeRedisOptions {
  readonly url?: string
  readonly username?: string
  readonly password?: string
  readonly RESP?: number
  readonly socket?: NodeRedisSocketOptions
  readonly [other: string]: unknown
}

export interface NodeRedisSocketOptions {
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly connectTimeout?: number
  readonly reconnectStrategy?: false | number | ((retries: number, cause: Error) => false | number | Error)
  readonly [other: string]: unknown
}

/** What every client must be made with that a {@link NodeRedisWire} is to use. */
export function wireOptions(socket: NodeRedisSocketOptions | undefined, connectTimeout: number): NodeRedisOptions {
  return {
    // Nothing is to be executed later than it was asked for.
    disableOfflineQueue: true,
    // Its timer would keep the process alive.
    pingInterval: undefined,
    // Version 6 gives up on an unwritten command after 5 s by default, and the timer for that costs more than the command.
    commandOptions: { timeout: 0 },
    // On a server's notice of maintenance it would change sockets by itself; here the old one is lost and a new one is made.
    maintNotifications: 'disabled',
    clientSideCache: undefined,
    emitInvalidate: undefined,
    // The idle connection of a process that only waits is no fault, and `connection.ts` does the reconnecting.
    socket: { ...socket, connectTimeout, socketTimeout: undefined, reconnectStrategy: false },
  }
}

/**
 * A view of a client (since version 5 all are, sentinels too) inherits the list of its listeners, until the last of them is taken off: then it begins a
 * list of its own, in which nobody looks. So one listener stays for ever, for an event that does not exist.
 */
const STAYS = Symbol('halocksmith')

/** @param emitter the client that a view is of */
export function keepListening(emitter: {
  on(event: string | symbol, listener: () => void): unknown
  listenerCount(event: string | symbol): number
}): void {
  if (emitter.listenerCount(STAYS) === 0) emitter.on(STAYS, () => {})
}

/** A client of its own, made with {@link wireOptions}. */
export class NodeRedisWire implements Wire {
  private active = false
  private hasSocket = false
  private doomed = false

  constructor(
    readonly client: NodeRedisClient,
    private readonly events: WireEvents,
  ) {
    // Without this listener a lost connection ends the process.
    client.on('error', (error: unknown) => events.lost(error))
    client.on('sharded-channel-moved', (channel: string) => events.misplaced(channel))
    client.on('connect', () => {
      this.hasSocket = true
      // Version 4 is about to write its handshake, and would leave its commands' rejections unhandled.
      if (this.doomed) setImmediate(() => this.destroy())
      // Node forgets an unref() when it tries a host's second address.
      else this.hold(this.active)
    })
  }

  connect(): Promise<unknown> {
    return this.client.connect()
  }

  subscribe(channels: string[]): Promise<unknown> {
    return this.client.subscribe(channels, this.hear)
  }

  unsubscribe(channels: string[]): Promise<unknown> {
    return this.client.unsubscribe(channels, this.hear)
  }

  subscribeSharded(channel: string): Promise<unknown> {
    return this.client.sSubscribe(channel, this.hear)
  }

  unsubscribeSharded(channel: string): Promise<unknown> {
    return this.client.sUnsubscribe(channel, this.hear)
  }

  hold(active: boolean): void {
    this.active = active
    if (active) this.client.ref()
    else this.client.unref()
  }

  destroy(): void {
    this.doomed = true
    // Before that, node-redis would forget the socket that it is opening, and leave it open.
    if (!this.hasSocket) return
    try {
      if (this.client.destroy) this.client.destroy()
      else this.client.disconnect()?.catch(() => {})
    } catch {
      // It is closed already.
    }
  }

  private readonly hear = (payload: string, channel: string): void => this.events.message(channel, payload)
}
