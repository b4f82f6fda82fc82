import { connect, type Socket } from 'node:net'
import { type Reply, ReplyError, RespParser } from '../../scripts/resp.mjs'
import { Lane } from './lane.js'

/** A command that a client sent through the proxy. */
export interface SeenCommand {
  /** In capitals: `EVALSHA`. */
  readonly name: string
  readonly args: readonly string[]
  /** Which connection it came by, counted from 1. */
  readonly link: number
}

/**
 * What becomes of a command and of its connection.
 *
 * - `pass`: nothing happens to it
 * - `cut before`: it does not reach the server; the connection is reset
 * - `cut after`: the server carries it out; its reply is lost, as the connection is reset then
 * - `hole before`: it does not reach the server; the connection stays open and is silent from then on, until `heal`
 * - `hole after`: the server carries it out; the connection stays open and is silent from the reply on, until `heal`
 */
export type Fate = 'pass' | 'cut before' | 'cut after' | 'hole before' | 'hole after'

/** How a connection that was silent goes on. */
export type Healing = 'late' | 'lost' | 'reset'

/** What a link asks the proxy. */
export interface Traffic {
  /** Told of every command; what becomes of it. A promise holds up this command and those behind it. */
  fateOf(command: SeenCommand): Fate | Promise<Fate>
  /** Told of every published message; calls `deliver` as often, and as late, as it is to arrive. */
  onPush(deliver: () => void): void
  readonly repliesHeld: boolean
  onClosed(link: Link): void
}

const MESSAGES = new Set(['MESSAGE', 'PMESSAGE', 'SMESSAGE'])
const SUBSCRIBING = /^[PS]?(UN)?SUBSCRIBE$/

interface Awaiting {
  readonly command: SeenCommand
  readonly fate: Fate
  repliesLeft: number
}

/** One connection through the proxy: frames are told apart, matched as command and reply, and let through, held or lost. */
export class Link {
  readonly server: Socket
  readonly #toServer: Lane
  readonly #toClient: Lane
  readonly #awaiting: Awaiting[] = []
  readonly #subscriptions = new Set<string>()
  #commands: { command: SeenCommand; bytes: Buffer }[] = []
  #deciding = false
  #heldReplies: Buffer[] = []
  #silent = false
  #cut = false
  #resp3 = false

  constructor(
    readonly id: number,
    readonly client: Socket,
    target: { host: string; port: number },
    private readonly traffic: Traffic,
  ) {
    this.server = connect({ ...target, allowHalfOpen: true })
    this.#toServer = new Lane((bytes) => this.server.write(bytes))
    this.#toClient = new Lane((bytes) => this.client.write(bytes))
    const commands = new RespParser()
    const replies = new RespParser()
    client.on('data', (chunk) => commands.push(chunk, (value, _kind, bytes) => this.onCommand(value, bytes)))
    this.server.on('data', (chunk) => replies.push(chunk, (value, kind, bytes) => this.onReply(value, kind, bytes)))
    this.passOnEnd(client, this.#toServer, this.server)
    this.passOnEnd(this.server, this.#toClient, client)
  }

  /** Whether it listens to a channel now. */
  get subscribed(): boolean {
    return this.#subscriptions.size > 0
  }

  slowDown(toServerMs: number, toClientMs: number, bytesPerSecond: number): void {
    Object.assign(this.#toServer, { delayMs: toServerMs, bytesPerSecond })
    Object.assign(this.#toClient, { delayMs: toClientMs, bytesPerSecond })
  }

  /** A reset in both directions. What was on its way is lost. */
  cut(): void {
    this.#cut = true
    this.#toServer.stop()
    this.#toClient.stop()
    this.client.resetAndDestroy()
    this.server.resetAndDestroy()
  }

  /** Nothing passes any more in either direction, and neither side is told. */
  goSilent(): void {
    this.#silent = true
    this.#toServer.hold()
    this.#toClient.hold()
  }

  heal(how: Healing): void {
    if (!this.#silent) return
    if (how === 'reset') return this.cut()
    if (how === 'lost') {
      this.#toClient.discard()
      // Nobody will answer what the server never got.
      const lost = this.#toServer.discard()
      this.#awaiting.splice(this.#awaiting.length - lost)
    }
    this.#silent = false
    this.#toServer.release()
    this.#toClient.release()
  }

  releaseReplies(): void {
    for (const bytes of this.#heldReplies.splice(0)) this.#toClient.push(bytes)
  }

  private onCommand(value: Reply, bytes: Buffer): void {
    // The rest of a chunk whose first part had the connection cut.
    if (this.#cut) return
    const [name = '', ...args] = [value].flat().map(String)
    this.#commands.push({ command: { name: name.toUpperCase(), args, link: this.id }, bytes })
    if (!this.#deciding) void this.decide()
  }

  /** Takes the commands in order; waits only where a test makes it wait. */
  private async decide(): Promise<void> {
    this.#deciding = true
    for (let next = this.#commands.shift(); next; next = this.#commands.shift()) {
      const answer = this.traffic.fateOf(next.command)
      const fate = typeof answer === 'string' ? answer : await answer
      if (fate === 'cut before') {
        this.#commands = []
        this.cut()
        break
      }
      if (fate === 'hole before') this.goSilent()
      if (next.command.name === 'HELLO') this.#resp3 = next.command.args[0] === '3'
      this.#awaiting.push({ command: next.command, fate, repliesLeft: this.repliesOf(next.command) })
      this.#toServer.push(next.bytes)
    }
    this.#deciding = false
  }

  private onReply(value: Reply, kind: string, bytes: Buffer): void {
    if (this.#cut) return
    const next = this.#awaiting[0]
    const word = this.outOfBand(value, kind, next)
    if (MESSAGES.has(word)) return this.traffic.onPush(() => this.client.destroyed || this.#toClient.push(bytes))
    if (SUBSCRIBING.test(word)) this.noteSubscription(word, value[1])
    // The server also ends subscriptions unasked, when a slot moves.
    const answered = word === '' || word === next?.command.name ? next : undefined
    if (answered && (--answered.repliesLeft === 0 || value instanceof ReplyError)) this.#awaiting.shift()
    if (answered?.fate === 'cut after') return this.cut()
    if (answered?.fate === 'hole after') this.goSilent()
    if (this.traffic.repliesHeld || this.#heldReplies.length > 0) this.#heldReplies.push(bytes)
    else this.#toClient.push(bytes)
  }

  /**
   * The first word, in capitals, of what the server says about subscriptions, with which version 2 of the protocol answers in plain
   * lists; empty for a plain reply.
   */
  private outOfBand(value: Reply, kind: string, next: Awaiting | undefined): string {
    const listens = this.subscribed || SUBSCRIBING.test(next?.command.name ?? '')
    const possible = kind === '>' || (kind === '*' && !this.#resp3 && listens)
    const word = possible && Array.isArray(value) ? String(value[0]).toUpperCase() : ''
    return kind === '>' || MESSAGES.has(word) || SUBSCRIBING.test(word) ? word : ''
  }

  private repliesOf({ name, args }: SeenCommand): number {
    if (!SUBSCRIBING.test(name)) return 1
    const ofKind = [...this.#subscriptions].filter((entry) => entry.startsWith(`${subscriptionKind(name)} `)).length
    return Math.max(1, args.length || ofKind)
  }

  private noteSubscription(word: string, channel: unknown): void {
    const entry = `${subscriptionKind(word)} ${channel}`
    if (word.includes('UNSUB')) this.#subscriptions.delete(entry)
    else this.#subscriptions.add(entry)
  }

  /** Tells `other` what became of `socket`, in its turn behind the bytes that are still on their way. */
  private passOnEnd(socket: Socket, lane: Lane, other: Socket): void {
    socket.setNoDelay(true)
    // What went wrong is told by 'close', which always follows.
    socket.on('error', () => {})
    socket.on('end', () => lane.end(() => other.end()))
    socket.on('close', (hadError) => {
      lane.end(() => (hadError ? other.resetAndDestroy() : other.destroySoon()))
      if (other.destroyed) {
        this.#toServer.stop()
        this.#toClient.stop()
        this.traffic.onClosed(this)
      }
    })
  }
}

/** `P`, `S` or nothing: patterns, sharded channels and channels have names of their own. */
function subscriptionKind(word: string): string {
  return word.replace(/(UN)?SUBSCRIBE$/, '')
}
