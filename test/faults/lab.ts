/** What the fault tests stand on: a server, a proxy before it, and locksmiths that a test can cut off, one set for each test. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createRequire } from 'node:module'
import { inspect } from 'node:util'
import { afterAll, beforeAll, inject, type TestContext } from 'vitest'
import { freePort, type StartOptions, startRedis } from '../../scripts/redis-server.mjs'
import type { LockEventName, LockEvents } from '../../src/events.js'
import { safetyMarginMs } from '../../src/lease/validity.js'
import { createLocksmith, type Locksmith } from '../../src/locksmith.js'
import { DEFAULT_PREFIX } from '../../src/options.js'
import type { LocksmithOptions } from '../../src/setup.js'
import { Keyspace } from '../../src/store/redis/keys.js'
import { type ResourceTracker, trackResources } from '../support/leaks.js'
import type { Raw } from '../support/libraries.js'
import { RedisProxy, type SeenCommand } from '../support/proxy.js'
import { isLastToken, type Leftover, TestRedis } from '../support/redis.js'
import { eventually, until } from '../support/until.js'

/** How a locksmith reaches the server. */
export type Via = 'our own connection' | 'ioredis 6' | 'redis 6'
export const VIAS: readonly Via[] = ['our own connection', 'ioredis 6', 'redis 6']

/** The server writes down each change before it answers, so that killing it loses nothing. */
export const KEEPS_DATA: readonly string[] = ['--appendonly', 'yes', '--appendfsync', 'always']

export const keys = new Keyspace(DEFAULT_PREFIX)
const require = createRequire(import.meta.url)
/** Whose timers and sockets must be gone at the end. */
const OURS = /\/src\/(?!testing)|node_modules\/(?:@redis|ioredis)/
let labs = 0

/**
 * Lets the tests of a file open labs, also side by side. After the last test no timer and no connection of the library may be left, and
 * nothing may have been warned of but by the library itself.
 */
export function useLabs(): typeof openLab {
  const foreign: string[] = []
  const note = (warning: Error): void => void (warning.name === 'HalocksmithWarning' || foreign.push(String(warning.stack)))
  let resources: ResourceTracker
  beforeAll(() => {
    resources = trackResources()
    process.on('warning', note)
  })
  afterAll(async () => {
    await eventually(() => {
      const left = ['Timeout', 'Immediate', 'TCPWRAP', 'PIPEWRAP'].flatMap((kind) => resources.origins(kind)).filter((at) => OURS.test(at))
      if (left.length > 0) throw new Error(`left behind: ${left.join('\n\n')}`)
    })
    resources.stop()
    process.removeListener('warning', note)
    if (foreign.length > 0) throw new Error(`warned of: ${foreign.join('\n')}`)
  })
  return openLab
}

/** Starts a server with a proxy before it. When the test ends everything is closed, and the server must be clean: {@link Lab.close}. */
async function openLab(context: TestContext, options: Omit<StartOptions, 'redis'> = {}): Promise<Lab> {
  const program = inject('redisProgram')
  if (program.path === null) return context.skip(program.reason)
  const lab = new Lab(options.password)
  context.onTestFinished(() => lab.close(context.task.result?.state !== 'fail'))
  await lab.open({ ...options, redis: program })
  return lab
}

export interface LabLocksmithOptions extends LocksmithOptions {
  /** Default: our own connection. */
  via?: Via
  /** Past the proxy. */
  direct?: boolean
  /** Whether a client of the caller's must be connected first; default true. */
  waits?: boolean
}

interface ClientOptions {
  direct?: boolean
  waits?: boolean
  /** The library's own. */
  [option: string]: unknown
}

export class Lab {
  /** A lock name that no other lab of this process uses, so that its events can be told apart. */
  readonly name = `lock ${++labs}`
  readonly redis: TestRedis
  /** What is told of that lock. */
  readonly diary = new Diary(this.name)
  #proxy: RedisProxy | undefined
  readonly #closers: (() => Promise<unknown>)[] = []

  constructor(password?: string) {
    this.redis = new TestRedis(password)
  }

  get server() {
    return this.redis.server
  }

  get proxy(): RedisProxy {
    if (!this.#proxy) throw new Error('the lab is not open')
    return this.#proxy
  }

  async open(options: StartOptions): Promise<void> {
    this.redis.server = await startRedis(options)
    this.#proxy = new RedisProxy(this.server, await freePort())
    await this.#proxy.accept()
  }

  /** A locksmith, closed at the end of the test. With a client of the caller's where `via` or `client` says so. */
  async locksmith({ via = 'our own connection', direct = false, waits, ...options }: LabLocksmithOptions = {}): Promise<Locksmith> {
    const source = options.client ?? (via === 'our own connection' ? undefined : await this.client(via, { direct, waits }))
    const { port } = direct ? this.server : this.proxy
    const where =
      source === undefined ? (options.url === undefined && options.nodes === undefined ? { nodes: [port] } : {}) : { client: source }
    const locksmith = createLocksmith({ ...where, ...options })
    this.#closers.unshift(() => locksmith.close())
    return locksmith
  }

  /** A client as a caller makes it, closed at the end of the test, after all locksmiths; connected, unless `waits` is false. */
  async client(via: Exclude<Via, 'our own connection'>, { direct = false, waits = true, ...options }: ClientOptions = {}): Promise<Raw> {
    const { port } = direct ? this.server : this.proxy
    const client = makeClient(via, port, options)
    this.#closers.push(async () => (via === 'ioredis 6' ? client.disconnect() : client.isOpen && client.destroy()))
    const connected = via === 'redis 6' ? client.connect() : new Promise((resolve) => client.once('ready', resolve))
    if (waits) await connected
    // It never is where the test closes it first.
    else connected.catch(() => {})
    return client
  }

  /** The script is loaded, and both ends are connected: what comes next is one request. */
  async warmUp(...locksmiths: Locksmith[]): Promise<void> {
    for (const locksmith of locksmiths) await (await locksmith.acquire(`warm ${this.name}`)).release()
  }

  /** The state of the lock as the server has it; empty when there is none. */
  async state(name = this.name): Promise<Record<string, string>> {
    const flat: string[] = await this.redis.command('HGETALL', keys.stateKey(name))
    return Object.fromEntries(flat.flatMap((field, i) => (i % 2 === 0 ? [[field, flat[i + 1] as string]] : [])))
  }

  /** The ids of those that hold the lock. */
  async holders(name = this.name): Promise<string[]> {
    return Object.entries(await this.state(name)).flatMap(([field, record]) =>
      /\..*/.test(field) && !record.startsWith('w') ? [field] : [],
    )
  }

  /** The ids of those that wait for the lock, the next one first. */
  async waiters(name = this.name): Promise<string[]> {
    const members: string[] = await this.redis.command('ZRANGE', `${keys.stateKey(name)}:queue`, 0, -1)
    return members.map((member) => member.slice(member.indexOf(' ') + 1))
  }

  /** Resolves as soon as `assertion` does not throw. */
  eventually(assertion: () => Promise<unknown>, timeoutMs = 10_000): Promise<unknown> {
    return eventually(assertion, { timeoutMs })
  }

  waitersAre(count: number, timeoutMs = 10_000): Promise<unknown> {
    return until(async () => (await this.waiters()).length === count, { what: `${count} waiters`, timeoutMs })
  }

  /** Resolves when so many inboxes are listened to at the server. */
  inboxesAre(count: number, timeoutMs = 10_000): Promise<unknown> {
    const inboxes = (): Promise<string[]> => this.redis.command('PUBSUB', 'CHANNELS', `${keys.inboxPrefix}*`)
    return until(async () => (await inboxes()).length === count, { what: `${count} inboxes`, timeoutMs })
  }

  /**
   * Everything that is asked for can be had at once, so that nothing is held by nobody; then nothing is left but last tokens, and
   * marks of withdrawn ids, which expire.
   */
  async expectClean(withinMs = 5_000): Promise<void> {
    const witness = createLocksmith({ url: this.server.url })
    try {
      for (const name of (await this.redis.keys()).flatMap((key) => keys.nameOf(key) ?? [])) {
        const lock = await until(() => witness.tryAcquire(name), { what: `${name} is free`, timeoutMs: withinMs })
        await lock.release()
      }
    } finally {
      await witness.close()
    }
    await this.redis.expectEmpty(DEFAULT_PREFIX, isTrace)
  }

  /** Closes all that was opened; with `check` the server must then be clean. */
  async close(check: boolean): Promise<void> {
    try {
      await this.#proxy?.pass()
      if (this.#proxy) {
        this.server.resume()
        if (!this.server.alive) await this.server.start()
      }
      for (const closeOne of this.#closers) await within(10_000, closeOne())
      if (check) await this.expectClean()
    } finally {
      this.diary.close()
      this.#proxy?.close()
      this.redis.disconnect()
      if (this.#proxy) await this.server.stop()
    }
  }
}

/** What a free name may leave: its last token, and for half a minute ids that must not be granted any more. */
function isTrace(left: Leftover): boolean {
  if (isLastToken(left)) return true
  const others = left.fields.filter((field) => field !== 'token' && field !== 'gone')
  return left.type === 'hash' && left.ttlMs > 0 && left.fields.includes('gone') && others.every((field) => /^[\w-]{22}\.\w+$/.test(field))
}

function makeClient(via: Via, port: number, options: object): Raw {
  const client =
    via === 'ioredis 6'
      ? new (require('ioredis-6').Redis)({ port, ...options })
      : require('redis-6').createClient({ ...options, socket: { port, ...(options as { socket?: object }).socket } })
  // As its owner must: without it a lost connection ends the process.
  client.on('error', () => {})
  return client
}

/** Whether a command is one of our calls and carries this operation (`A` acquire, `R` renew, `L` release) on the name. */
export function carries(letter: 'A' | 'R' | 'L', name: string): (command: SeenCommand) => boolean {
  return ({ name: command, args }) => {
    if (command !== 'EVALSHA' && command !== 'EVAL') return false
    const count = Number(args[1])
    const names = args.slice(2, 2 + count)
    return names.some((key, i) => key === keys.stateKey(name) && args[2 + count + i]?.startsWith(`${letter} `))
  }
}

type Kind = LockEventName extends `halocksmith:${infer K}` ? K : never

export interface Entry {
  readonly kind: Kind
  /** By the clock of `performance.now()`. */
  readonly atMs: number
  readonly message: Readonly<Record<string, unknown>>
}

const KINDS: readonly Kind[] = ['waiting', 'granted', 'released', 'unknown', 'held', 'lost']

/** What was told of one lock, in order, to all who want it. Looking at a lock makes it look at the clock; this shows what it does without being looked at. */
export class Diary {
  readonly entries: Entry[] = []
  private readonly listeners = KINDS.map((kind) => {
    const listener = (message: unknown): void => {
      const { name, ...rest } = message as LockEvents['halocksmith:lost']
      if (name === this.name) this.entries.push({ kind, atMs: performance.now(), message: rest })
    }
    subscribe(`halocksmith:${kind}`, listener)
    return { kind, listener }
  })

  constructor(private readonly name: string) {}

  get kinds(): Kind[] {
    return this.entries.map(({ kind }) => kind)
  }

  all(kind: Kind): Entry[] {
    return this.entries.filter((entry) => entry.kind === kind)
  }

  /** Resolves to the `nth` entry of a kind. */
  seen(kind: Kind, nth = 1, timeoutMs = 10_000): Promise<Entry> {
    return until(() => this.all(kind)[nth - 1], { what: `'${kind}' no. ${nth} of ${this.name}`, timeoutMs })
  }

  close(): void {
    for (const { kind, listener } of this.listeners) unsubscribe(`halocksmith:${kind}`, listener)
  }
}

/** The moment after which the server may give the lock to somebody else, as far as its holder can know. */
export const endOf = (deadlineMs: number, ttlMs: number): number => deadlineMs + safetyMarginMs(ttlMs)

/**
 * Resolves to what the promise does, and rejects if a timer of `ms` fires before. Timers fire in their order however busy the machine
 * is: a promise that is settled by a timer that is due earlier always wins.
 */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const started = performance.now()
  let timer: NodeJS.Timeout | undefined
  let immediate: NodeJS.Immediate | undefined
  const late = new Promise<never>((_, reject) => {
    const fire = () => {
      const leftMs = started + ms - performance.now()
      if (leftMs > 0) timer = setTimeout(fire, Math.ceil(leftMs))
      else immediate = setImmediate(() => reject(new Error(`not settled within ${ms} ms`)))
    }
    timer = setTimeout(fire, ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    clearImmediate(immediate)
  }
}

/** Resolves to the reason of the signal, which must abort before a timer that is due at that moment fires. */
export function abortedBefore(signal: AbortSignal, atMs: number): Promise<Error> {
  const aborted = new Promise<Error>((resolve) => {
    if (signal.aborted) resolve(signal.reason)
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
  return within(atMs - performance.now(), aborted)
}

/** The error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<Error & { code?: string; key?: string }> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  )
  if ('error' in outcome) return outcome.error
  throw new Error(`it did not reject, it resolved to ${inspect(outcome.value)}`)
}
