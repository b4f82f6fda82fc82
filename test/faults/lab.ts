/** What the fault tests stand on: for each test a proxy before a server, and locksmiths that can be cut off and looked at. */

import { createRequire } from 'node:module'
import { afterAll, beforeAll, inject, type TestContext, vi } from 'vitest'
import { type RedisServer, type StartOptions, startRedis } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith } from '../../src/locksmith.js'
import type { LocksmithOptions } from '../../src/setup.js'
import { Keyspace } from '../../src/store/redis/keys.js'
import { type ResourceTracker, trackResources } from '../support/leaks.js'
import type { Raw } from '../support/libraries.js'
import { inMode } from '../support/mode.mjs'
import { onOwnPort } from '../support/ports.js'
import { RedisProxy, type SeenCommand } from '../support/proxy.js'
import { isTrace, TestRedis } from '../support/redis.js'
import { eventually, until } from '../support/until.js'
import { Diary, within } from './watch.js'

export * from './watch.js'

/** How a locksmith reaches the server. */
export type Via = 'our own connection' | 'ioredis 6' | 'redis 6'
export const VIAS: readonly Via[] = ['our own connection', 'ioredis 6', 'redis 6']

/** The server writes down each change before it answers, so that killing it loses nothing. */
export const KEEPS_DATA: readonly string[] = ['--appendonly', 'yes', '--appendfsync', 'always']

const require = createRequire(import.meta.url)
/** Whose timers and sockets must be gone at the end. */
const OURS = /\/src\/(?!testing)|node_modules\/(?:@redis|ioredis)/
const SIDE_BY_SIDE = 8
/** So many look at their servers at once. */
const POLL_MS = 20
let labs = 0

/** Settings of a server that a lab has for itself: whoever kills it, or changes what is not only the lab's, needs one. */
export type OwnServer = Omit<StartOptions, 'redis'>
export type OpenLab = (context: TestContext, own?: OwnServer) => Promise<Lab>

/**
 * Lets the tests of a file open labs, also side by side, on a server that they share or on their own. After the last test no timer and no
 * connection of the library may be left, and nothing may have been warned of but by the library itself.
 */
export function useLabs(): OpenLab {
  // They wait most of the time.
  vi.setConfig({ maxConcurrency: SIDE_BY_SIDE })
  const foreign: string[] = []
  const note = (warning: Error): void => void (warning.name === 'HalocksmithWarning' || foreign.push(String(warning.stack)))
  let resources: ResourceTracker
  let shared: Promise<RedisServer> | undefined
  beforeAll(() => {
    resources = trackResources()
    process.on('warning', note)
  })
  afterAll(async () => {
    await (await shared)?.stop()
    await eventually(() => {
      const left = ['Timeout', 'Immediate', 'TCPWRAP', 'PIPEWRAP'].flatMap((kind) => resources.origins(kind)).filter((at) => OURS.test(at))
      if (left.length > 0) throw new Error(`left behind: ${left.join('\n\n')}`)
    })
    resources.stop()
    process.removeListener('warning', note)
    if (foreign.length > 0) throw new Error(`warned of: ${foreign.join('\n')}`)
  })
  return async (context, own) => {
    const redis = inject('redisProgram')
    if (redis.path === null) return context.skip(redis.reason)
    const lab = new Lab(own)
    // Everything is closed, and the server must be clean, unless something is wrong already.
    context.onTestFinished(() => lab.close(context.task.result?.state !== 'fail'))
    if (own === undefined) shared ??= startServer({ redis })
    await lab.open(await (own === undefined ? (shared as Promise<RedisServer>) : startServer({ ...own, redis })))
    return lab
  }
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
  /** The lab's part of the server. */
  readonly keys = new Keyspace(`lab${labs}:`)
  readonly redis: TestRedis
  /** What is told of that lock. */
  readonly diary = new Diary(this.name)
  #proxy: RedisProxy | undefined
  readonly #closers: (() => Promise<unknown>)[] = []

  constructor(private readonly own: OwnServer | undefined) {
    this.redis = new TestRedis(own?.password)
  }

  get server() {
    return this.redis.server
  }

  get proxy(): RedisProxy {
    if (!this.#proxy) throw new Error('the lab is not open')
    return this.#proxy
  }

  async open(server: RedisServer): Promise<void> {
    this.redis.server = server
    this.#proxy = await onOwnPort(async (port) => {
      const proxy = new RedisProxy(server, port)
      await proxy.accept()
      return proxy
    })
  }

  /** A locksmith, closed at the end of the test. With a client of the caller's where `via` or `client` says so. */
  async locksmith({ via = 'our own connection', direct = false, waits, ...options }: LabLocksmithOptions = {}): Promise<Locksmith> {
    const source = options.client ?? (via === 'our own connection' ? undefined : await this.client(via, { direct, waits }))
    const { port } = direct ? this.server : this.proxy
    const where =
      source === undefined ? (options.url === undefined && options.nodes === undefined ? { nodes: [port] } : {}) : { client: source }
    const locksmith = createLocksmith(inMode({ prefix: this.keys.prefix, ...where, ...options }))
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
    const flat: string[] = await this.redis.command('HGETALL', this.keys.stateKey(name))
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
    const members: string[] = await this.redis.command('ZRANGE', `${this.keys.stateKey(name)}:queue`, 0, -1)
    return members.map((member) => member.slice(member.indexOf(' ') + 1))
  }

  /** All keys of this lab. */
  async allKeys(): Promise<string[]> {
    return (await this.redis.keys()).filter((key) => key.startsWith(this.keys.prefix))
  }

  /** Resolves as soon as `assertion` does not throw. */
  eventually(assertion: () => Promise<unknown>, timeoutMs = 10_000): Promise<unknown> {
    return eventually(assertion, { timeoutMs, everyMs: POLL_MS })
  }

  waitersAre(count: number, timeoutMs = 10_000): Promise<unknown> {
    return until(async () => (await this.waiters()).length === count, { what: `${count} waiters`, timeoutMs, everyMs: POLL_MS })
  }

  /** Resolves when so many inboxes are listened to at the server. */
  inboxesAre(count: number, timeoutMs = 10_000): Promise<unknown> {
    const inboxes = (): Promise<string[]> => this.redis.command('PUBSUB', 'CHANNELS', `${this.keys.inboxPrefix}*`)
    return until(async () => (await inboxes()).length === count, { what: `${count} inboxes`, timeoutMs, everyMs: POLL_MS })
  }

  /**
   * Every name that was asked for can be had, so that nothing is held by nobody; then nothing is left but last tokens, and
   * marks of withdrawn ids, which expire.
   */
  async expectClean(withinMs = 5_000): Promise<void> {
    const witness = createLocksmith({ url: this.server.url, prefix: this.keys.prefix })
    try {
      for (const name of (await this.redis.keys()).flatMap((key) => this.keys.nameOf(key) ?? [])) {
        await (await witness.acquire(name, { waitMs: withinMs })).release()
      }
    } finally {
      await witness.close()
    }
    await this.redis.expectEmpty(this.keys.prefix, isTrace)
  }

  /** Whether a command is one of our calls and carries this operation (`A` acquire, `R` renew, `L` release) on the name. */
  carries(letter: 'A' | 'R' | 'L', name = this.name): (command: SeenCommand) => boolean {
    const key = this.keys.stateKey(name)
    return ({ name: command, args }) => {
      if (command !== 'EVALSHA' && command !== 'EVAL') return false
      const count = Number(args[1])
      return args.slice(2, 2 + count).some((one, i) => one === key && args[2 + count + i]?.startsWith(`${letter} `))
    }
  }

  /** Closes all that was opened; with `check` the server must then be clean. */
  async close(check: boolean): Promise<void> {
    this.diary.close()
    if (!this.#proxy) return
    try {
      await this.#proxy.pass()
      if (this.own) this.server.resume()
      if (!this.server.alive) await this.server.start()
      for (const closeOne of this.#closers) await within(10_000, closeOne())
      if (check) await this.expectClean()
    } finally {
      this.#proxy.close()
      this.redis.disconnect()
      if (this.own) await this.server.stop()
    }
  }
}

const startServer = (options: StartOptions): Promise<RedisServer> => onOwnPort((port) => startRedis({ ...options, port }))

function makeClient(via: Via, port: number, options: object): Raw {
  const client =
    via === 'ioredis 6'
      ? new (require('ioredis-6').Redis)({ port, ...options })
      : require('redis-6').createClient({ ...options, socket: { port, ...(options as { socket?: object }).socket } })
  // As its owner must: without it a lost connection ends the process.
  client.on('error', () => {})
  return client
}
