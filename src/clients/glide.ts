/**
 * The port to a caller's Valkey GLIDE client. GLIDE tells nothing of its connection; that it is down shows when commands fail, and that
 * it stands again by asking. In between commands are refused here, as GLIDE would only let each run into its time limit.
 */

import { createHash } from 'node:crypto'
import { type Clock, systemClock, type Timer } from '../util/clock.js'
import { type ChannelListener, ClientError, type ConnectionListener, type RedisClient, type WakeKind } from './client.js'
import { GlideInbox } from './glide-inbox.js'
import { type GlideClient, type GlideCommandOptions, glideError } from './glide-wire.js'

/** The wait between two questions whether the connection stands again; each takes up to GLIDE's `requestTimeout` besides. */
const PROBE_EVERY_MS = 100

/** Bytes: GLIDE's own way to text throws away a whole reply for one name in it that is none. */
export const BYTES = 0
const COMMAND_OPTIONS = Object.freeze({ decoder: BYTES })

/** What is asked until it is answered. */
export interface Question {
  readonly args: readonly string[]
  readonly options?: GlideCommandOptions
}

export class GlidePort implements RedisClient {
  readonly library: string = 'glide'
  readonly wake: WakeKind
  readonly warnings = []
  protected readonly inbox: GlideInbox
  private closed = false
  private isDown = false
  private lastError: ClientError | undefined
  private probing = false
  private timer: Timer | undefined
  /** The hashes of scripts that were sent as a whole on this connection. */
  private readonly loaded = new Set<string>()
  private readonly watchers = new Set<ConnectionListener>()

  constructor(
    protected readonly client: GlideClient,
    private readonly clock: Clock = systemClock,
  ) {
    // A class of the caller's that wraps GLIDE's can't be made a second time, and older versions subscribe when they are made, and never again.
    const canHear =
      typeof client.constructor.createClient === 'function' && client.config !== undefined && typeof client.subscribe === 'function'
    this.wake = canHear ? (client.invokeScriptWithRoute ? 'spublish' : 'publish') : 'none'
    this.inbox = new GlideInbox(client, clock)
  }

  get isUp(): boolean {
    return !this.closed && !this.isDown && !this.isOver
  }

  /** GLIDE connects by itself; only that it was closed is for good. */
  connect(): void {
    if (this.isOver) this.tellDown()
  }

  reconnect(_key?: string): void {
    this.suspect(undefined)
  }

  command(args: readonly string[]): Promise<unknown> {
    return this.send(args, COMMAND_OPTIONS, this.rethrow)
  }

  async subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.wake === 'none') throw new ClientError('CONNECTION', 'this GLIDE client can not be made a second time, to hear messages with')
    if (!this.isUp) throw this.reason
    return this.inbox.subscribe('exact', channel, listener)
  }

  watch(listener: ConnectionListener): () => void {
    this.watchers.add(listener)
    return () => void this.watchers.delete(listener)
  }

  /** The caller's connection keeps the process alive as it does, and the one for messages never does. */
  keepProcessAlive(): void {}

  async close(): Promise<void> {
    this.closed = true
    this.timer?.cancel()
    this.watchers.clear()
    this.inbox.close()
  }

  /** @param failed what is made of a failure; it throws */
  protected send(args: readonly string[], options: GlideCommandOptions, failed: (error: unknown) => never): Promise<unknown> {
    const [name, script = ''] = args
    if (!this.isUp) return Promise.reject(this.reason)
    if (name === 'EVALSHA' && !this.loaded.has(script)) return Promise.reject(unknownScript())
    if (name === 'EVAL') this.loaded.add(createHash('sha1').update(script).digest('hex'))
    return this.client.customCommand(args, options).then(asText, failed)
  }

  /** What a command failed of, as our error. A failure that is no answer of the server's raises the question whether it answers. */
  protected explain(error: unknown, question?: Question): ClientError {
    const plain = glideError(error)
    if (plain.code === 'REPLY') return plain
    if (this.closed || this.isOver) {
      this.tellDown()
      return this.reason
    }
    this.suspect(question, (error as Error).name === 'ConnectionError' ? plain : undefined)
    return plain
  }

  /** Of a limit that ran out nothing follows for the other commands; a lost connection has taken all of them along. */
  protected suspect(question: Question | undefined, loss?: ClientError): void {
    if (loss !== undefined) this.goDown(loss)
    if (this.probing || this.closed) return
    this.probing = true
    this.probe(question)
  }

  /** The question was not answered; it will be asked again. */
  protected unanswered(error: ClientError): void {
    this.goDown(error)
  }

  /** @param always tells those who watch even if it was not down */
  protected goUp(always = false): void {
    const wasDown = this.isDown
    this.isDown = false
    if (this.isUp && (wasDown || always)) for (const watcher of this.watchers) watcher.up()
  }

  protected goDown(error: ClientError): void {
    this.isDown = true
    this.lastError = error
    // What a server that was started anew knows of scripts is nothing.
    this.loaded.clear()
    this.tellDown()
  }

  protected get reason(): ClientError {
    if (this.closed) return new ClientError('CLOSED', 'the client was closed')
    if (this.isOver) return new ClientError('CLOSED', 'the client was closed by its owner')
    return this.lastError ?? new ClientError('CONNECTION', 'the client is not connected')
  }

  private get isOver(): boolean {
    return this.client.isClosed === true
  }

  private readonly rethrow = (error: unknown): never => {
    throw this.explain(error)
  }

  private probe(question: Question = { args: ['PING'] }): void {
    const answered = (): void => {
      this.probing = false
      this.goUp()
    }
    this.client.customCommand(question.args, question.options).then(answered, (error) => {
      const plain = glideError(error)
      if (this.closed) return
      // It answers, if only that it is loading its data.
      if (plain.code === 'REPLY') return answered()
      this.unanswered(plain)
      if (this.isOver) this.probing = false
      else this.timer = this.clock.after(PROBE_EVERY_MS, () => this.probe(question))
    })
  }

  private tellDown(): void {
    for (const watcher of this.watchers) watcher.down(this.reason)
  }
}

/** Said without asking, because GLIDE prints every error reply to the standard output, unless its owner forbids it. */
function unknownScript(): ClientError {
  return new ClientError('REPLY', 'NOSCRIPT this script was not sent on this connection yet', 'NOSCRIPT')
}

/** Text for bytes, and a flat list for what RESP3 calls a map. */
export function asText(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString()
  if (!Array.isArray(reply)) return reply
  return reply.flatMap((item) => (isPair(item) ? [asText(item.key), asText(item.value)] : [asText(item)]))
}

function isPair(item: unknown): item is { key: unknown; value: unknown } {
  return typeof item === 'object' && item !== null && !Array.isArray(item) && 'key' in item && 'value' in item
}
