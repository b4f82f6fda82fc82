import type { ChannelListener, ClientWarning, ConnectionListener, RedisClient, WakeKind } from '../../src/clients/client.js'
import { ClientError } from '../../src/clients/client.js'
import { turn } from './fake-store.js'

/** A command that reached the client, to be answered by the test. */
export interface Sent {
  readonly args: readonly string[]
  /** Resolves when everything that the answer sets in motion at once has happened. */
  reply(reply: unknown): Promise<void>
  fail(error: unknown): Promise<void>
}

/** A client library whose every answer the test gives by hand. */
export class FakeClient implements RedisClient {
  readonly library = 'fake'
  wake: WakeKind = 'publish'
  warnings: ClientWarning[] = []
  isUp = true
  connects = 0
  reconnects = 0
  /** How often it was told to look whether another server is the primary. */
  looks = 0
  closed = 0
  /** What {@link keepProcessAlive} was last told; undefined before the first time. */
  keepsAlive: boolean | undefined
  readonly channels = new Map<string, ChannelListener>()
  /** When set, what subscribing fails with. */
  subscribeError: unknown
  readonly watchers = new Set<ConnectionListener>()
  private readonly sent: Sent[] = []

  /** The commands that the test has not taken yet, by name. */
  get open(): string[] {
    return this.sent.map(({ args }) => args[0] ?? '')
  }

  /** Takes the oldest open command, which must have this name. */
  take(name: string): Sent {
    const next = this.sent.shift()
    if (next?.args[0] !== name) throw new Error(`expected ${name}, there was ${next?.args[0] ?? 'no command'}`)
    return next
  }

  connect(): void {
    this.connects += 1
  }

  reconnect(): void {
    this.reconnects += 1
  }

  lookAgain(): void {
    this.looks += 1
  }

  command(args: readonly string[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle = (decide: () => void) => {
        decide()
        return turn()
      }
      // A copy, because the same array is sent a second time with other content.
      this.sent.push({ args: [...args], reply: (reply) => settle(() => resolve(reply)), fail: (error) => settle(() => reject(error)) })
    })
  }

  async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.subscribeError !== undefined) throw this.subscribeError
    this.channels.set(channel, listener)
    return async () => {
      this.channels.delete(channel)
    }
  }

  watch(listener: ConnectionListener): () => void {
    this.watchers.add(listener)
    return () => void this.watchers.delete(listener)
  }

  keepProcessAlive(active: boolean): void {
    this.keepsAlive = active
  }

  async close(): Promise<void> {
    this.closed += 1
  }

  /** The connection stands. */
  up(): Promise<void> {
    this.isUp = true
    for (const watcher of this.watchers) watcher.up()
    return turn()
  }

  /** The connection is lost, or an attempt failed. */
  down(message = 'connection lost'): Promise<void> {
    this.isUp = false
    for (const watcher of this.watchers) watcher.down(new ClientError('CONNECTION', message))
    return turn()
  }
}
