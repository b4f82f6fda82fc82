import { createServer, type Server } from 'node:net'
import { onTestFinished } from 'vitest'
import { freePort } from '../../scripts/redis-server.mjs'
import { type Fate, type Healing, Link, type SeenCommand, type Traffic } from './proxy-link.js'

export type { Fate, Healing, Link, SeenCommand } from './proxy-link.js'

/** Which commands: by name, by the whole command as words (`/^EVALSHA \w+ 3 /`), or by a function. */
export type CommandMatch = string | RegExp | ((command: SeenCommand) => boolean)

/** A rule for commands, as {@link RedisProxy.onCommand} makes it. */
export interface CommandRule {
  /** How many commands it was applied to. */
  readonly hits: number
  /** Resolves to the `count`th command that it was applied to, the first by default; at once when that has been. */
  hit(count?: number): Promise<SeenCommand>
  off(): void
}

type Which = (link: Link) => boolean

/**
 * Starts a proxy in front of a server that speaks Redis' protocol, version 2 or 3, without TLS. In a test it is closed when the test
 * ends; elsewhere call `close()`.
 */
export async function startProxy(target: { host?: string; port: number }): Promise<RedisProxy> {
  const proxy = new RedisProxy({ host: target.host ?? '127.0.0.1', port: target.port }, await freePort())
  await proxy.accept()
  try {
    onTestFinished(() => proxy.close())
  } catch {
    // Not inside a test: the caller closes it.
  }
  return proxy
}

/** A network between clients and a server that a test can break, and mend, in every way that networks break. */
export class RedisProxy implements Traffic {
  readonly host = '127.0.0.1'
  /** Connections that are open, in the order in which they came. */
  readonly links = new Set<Link>()
  /** How often each command was seen, by its name in capitals. */
  commands: Record<string, number> = {}
  repliesHeld = false
  /** Messages seen, and those of them that never arrived. */
  pushes = { seen: 0, dropped: 0 }
  #listener: Server | undefined
  #lastLink = 0
  #rules: Rule[] = []
  #slowness: [toServerMs: number, toClientMs: number, bytesPerSecond: number] = [0, 0, Number.POSITIVE_INFINITY]
  #allSilent = false
  #pushesToDrop = 0
  #pushCopies = 1
  #pushDelayMs = 0
  #heldPushes: (() => void)[] | undefined

  constructor(
    private readonly target: { host: string; port: number },
    /** The same through `refuse` and `accept`. */
    readonly port: number,
  ) {}

  get url(): string {
    return `redis://${this.host}:${this.port}`
  }

  /** Resets connections: all, or `which`. Clients may come back at once, unless {@link refuse} was called before. */
  cut(which: Which = () => true): void {
    for (const link of this.matching(which)) link.cut()
  }

  /** New connections are refused, as by a machine on which nothing runs. Those that are open stay: see {@link cut}. */
  refuse(): void {
    this.#listener?.close()
    this.#listener = undefined
  }

  /** Takes connections again, on the same port. */
  async accept(): Promise<void> {
    if (this.#listener) return
    const listener = createServer({ allowHalfOpen: true }, (client) => {
      const link = new Link(++this.#lastLink, client, this.target, this)
      this.links.add(link)
      link.slowDown(...this.#slowness)
      if (this.#allSilent) link.goSilent()
    })
    this.#listener = listener
    await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(this.port, this.host, resolve))
  }

  /**
   * Nothing passes any more in either direction, and nobody is told: neither FIN nor RST. Without `which` also on connections that are
   * made from now on: these are taken, as the system does that, and stay silent.
   */
  blackHole(which?: Which): void {
    if (!which) this.#allSilent = true
    for (const link of this.matching(which ?? (() => true))) link.goSilent()
  }

  /**
   * Ends silence, be it from {@link blackHole} or from a `hole` rule. What was said meanwhile arrives `late` (the default: TCP sends it
   * again), or is `lost` and the connection goes on with what is said from now on, or the connection is `reset`.
   */
  heal(how: Healing = 'late'): void {
    this.#allSilent = false
    for (const link of [...this.links]) link.heal(how)
  }

  /** Replies wait in the proxy, in order, until {@link releaseReplies}; published messages pass. */
  holdReplies(): void {
    this.repliesHeld = true
  }

  releaseReplies(): void {
    this.repliesHeld = false
    for (const link of this.links) link.releaseReplies()
  }

  /**
   * The next `times` commands that match are carried out and their replies are lost, each with its connection, as TCP loses nothing from
   * the middle: the connection is reset (`by: 'cut'`, the default) or silent from then on (`'hole'`).
   */
  dropReplies(match: CommandMatch, options: { times?: number; by?: 'cut' | 'hole' } = {}): CommandRule {
    return this.onCommand(match, options.by === 'hole' ? 'hole after' : 'cut after', { times: options.times ?? 1 })
  }

  /**
   * Decides on commands as they pass: one {@link Fate} for all, or a function that is asked each time, and may take its time (stop a
   * process, kill the server): the command waits for it. The oldest rule that matches counts.
   *
   * @param options `times`: for so many commands; default for all until `off()`
   */
  onCommand(
    match: CommandMatch,
    fate: Fate | ((command: SeenCommand) => Fate | Promise<Fate>),
    options: { times?: number } = {},
  ): CommandRule {
    const rule = new Rule(match, fate, options.times ?? Number.POSITIVE_INFINITY, () => {
      this.#rules = this.#rules.filter((other) => other !== rule)
    })
    this.#rules.push(rule)
    return rule
  }

  /** The next `count` messages, by default all, are lost. */
  dropPushes(count = Number.POSITIVE_INFINITY): void {
    this.#pushesToDrop = count
  }

  /** Every message arrives so many times. */
  duplicatePushes(copies = 2): void {
    this.#pushCopies = copies
  }

  /** Every message arrives so much later than it would, and replies are not held up by it. */
  delayPushes(delayMs: number): void {
    this.#pushDelayMs = delayMs
  }

  /** Messages wait in the proxy until {@link releasePushes}; replies pass. */
  holdPushes(): void {
    this.#heldPushes ??= []
  }

  get heldPushes(): number {
    return this.#heldPushes?.length ?? 0
  }

  /** @param order `reversed`: the last message first */
  releasePushes(order: 'kept' | 'reversed' = 'kept'): void {
    const held = this.#heldPushes ?? []
    this.#heldPushes = undefined
    for (const deliver of order === 'kept' ? held : held.reverse()) deliver()
  }

  /** Everything that is said from now on arrives so much later, each way or as given for each. */
  delay(delayMs: number | { toServerMs?: number; toClientMs?: number }): void {
    const { toServerMs = 0, toClientMs = 0 } = typeof delayMs === 'number' ? { toServerMs: delayMs, toClientMs: delayMs } : delayMs
    this.slowDown(toServerMs, toClientMs, this.#slowness[2])
  }

  /** No more than so many bytes a second, on each connection and each way. */
  throttle(bytesPerSecond: number): void {
    this.slowDown(this.#slowness[0], this.#slowness[1], bytesPerSecond)
  }

  /** Mends everything: no rule, no delay, nothing held or lost, connections are taken. What was held arrives now. */
  async pass(): Promise<void> {
    this.#rules = []
    this.slowDown(0, 0, Number.POSITIVE_INFINITY)
    this.dropPushes(0)
    this.duplicatePushes(1)
    this.delayPushes(0)
    this.heal()
    this.releaseReplies()
    this.releasePushes()
    await this.accept()
  }

  /** Ends all connections and the proxy. */
  close(): void {
    this.refuse()
    this.cut()
  }

  fateOf(command: SeenCommand): Fate | Promise<Fate> {
    this.commands[command.name] = (this.commands[command.name] ?? 0) + 1
    return this.#rules.find((rule) => rule.matches(command))?.apply(command) ?? 'pass'
  }

  onPush(deliver: () => void): void {
    this.pushes.seen++
    if (this.#pushesToDrop > 0) {
      this.#pushesToDrop--
      this.pushes.dropped++
      return
    }
    for (let copy = 0; copy < this.#pushCopies; copy++) {
      if (this.#heldPushes) this.#heldPushes.push(deliver)
      else if (this.#pushDelayMs > 0) setTimeout(deliver, this.#pushDelayMs).unref()
      else deliver()
    }
  }

  onClosed(link: Link): void {
    this.links.delete(link)
  }

  private slowDown(...slowness: [number, number, number]): void {
    this.#slowness = slowness
    for (const link of this.links) link.slowDown(...slowness)
  }

  /** A copy: what is done to a link may take it out of the set. */
  private matching(which: Which): Link[] {
    return [...this.links].filter(which)
  }
}

class Rule implements CommandRule {
  readonly #seen: SeenCommand[] = []
  #waiting: { count: number; resolve: (command: SeenCommand) => void }[] = []

  constructor(
    private readonly match: CommandMatch,
    private readonly fate: Fate | ((command: SeenCommand) => Fate | Promise<Fate>),
    private readonly times: number,
    readonly off: () => void,
  ) {}

  get hits(): number {
    return this.#seen.length
  }

  hit(count = 1): Promise<SeenCommand> {
    const seen = this.#seen[count - 1]
    return seen ? Promise.resolve(seen) : new Promise((resolve) => this.#waiting.push({ count, resolve }))
  }

  matches(command: SeenCommand): boolean {
    if (typeof this.match === 'function') return this.match(command)
    if (typeof this.match === 'string') return this.match.toUpperCase() === command.name
    return this.match.test([command.name, ...command.args].join(' '))
  }

  apply(command: SeenCommand): Fate | Promise<Fate> {
    this.#seen.push(command)
    if (this.hits >= this.times) this.off()
    for (const { resolve } of this.#waiting.filter(({ count }) => count === this.hits)) resolve(command)
    this.#waiting = this.#waiting.filter(({ count }) => count > this.hits)
    return typeof this.fate === 'function' ? this.fate(command) : this.fate
  }
}
