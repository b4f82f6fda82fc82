import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest'
import { BareRedis, type Reply } from '../../scripts/bare-redis.mjs'
import { type RedisServer, type StartOptions, startRedis } from '../../scripts/redis-server.mjs'
import { type Counts, moreThan } from './leaks.js'
import { eventually } from './until.js'

const NO_SERVER = 'there is no Redis server: set-up that needs one belongs into beforeEach, which is skipped then'
const HOUR_MS = 3_600_000
/** How long a token may outlive its name, with what rounding and a slow test add. */
const TOKEN_TTL_MS = HOUR_MS + 600_000

/** One line of CLIENT LIST. `fields` has all of it; `sub` counts the channels, patterns and sharded channels it is subscribed to. */
export interface ClientInfo {
  readonly id: number
  readonly name: string
  readonly sub: number
  readonly fields: Readonly<Record<string, string>>
}

/** A key that a test left in Redis. */
export interface Leftover {
  readonly key: string
  readonly type: string
  /** -1 when it never expires. */
  readonly ttlMs: number
  /** Field names, when it is a hash. */
  readonly fields: readonly string[]
}

/**
 * A Redis server for the tests of a file or suite: started before the first, stopped after the last, emptied before each. Where there
 * is none, these tests are skipped, with the reason.
 *
 * Call it at the top of the file, or in a `describe`. What it returns can be used from `beforeEach` on.
 */
export function useRedis(options: Omit<StartOptions, 'redis'> = {}): TestRedis {
  const program = inject('redisProgram')
  const redis = new TestRedis(options.password)
  if (program.path === null) {
    beforeEach(({ skip }) => skip(program.reason))
    return redis
  }
  beforeAll(async () => {
    redis.server = await startRedis({ ...options, redis: program })
  })
  beforeEach(() => redis.flush())
  afterEach(() => redis.disconnect())
  afterAll(() => redis.server.stop())
  return redis
}

/** What tests do to a server from outside the library. */
export class TestRedis {
  #server: RedisServer | undefined
  #control: { client: Promise<BareRedis>; pid: number } | undefined
  readonly #clients: BareRedis[] = []
  /** Commands that the harness itself sent, so that they can be told from those of the library. */
  readonly #own: Record<string, number> = {}

  constructor(private readonly password?: string) {}

  /** To kill, pause, restart. */
  get server(): RedisServer {
    if (!this.#server) throw new Error(NO_SERVER)
    return this.#server
  }

  set server(server: RedisServer) {
    this.#server = server
  }

  get host(): string {
    return this.server.host
  }

  get port(): number {
    return this.server.port
  }

  get url(): string {
    return this.server.url
  }

  /** One command, on a connection of the harness. It does not count in {@link countCommands}. @throws ReplyError */
  async command(...args: readonly (string | number | Buffer)[]): Promise<Reply> {
    const client = await this.control()
    // The server counts some commands together with their subcommand; only one of the two names will be in its statistics.
    for (const words of [args.slice(0, 1), args.slice(0, 2)]) {
      const name = words.join('|').toLowerCase()
      this.#own[name] = (this.#own[name] ?? 0) + 1
    }
    return client.command(...args)
  }

  /** A connection for the test, closed after it. */
  async connect(): Promise<BareRedis> {
    const client = await BareRedis.connect({ port: this.port, password: this.password })
    this.#clients.push(client)
    return client
  }

  /** Removes all keys; scripts stay loaded. */
  async flush(): Promise<void> {
    await this.command('FLUSHALL')
  }

  async keys(pattern = '*'): Promise<string[]> {
    const keys: string[] = await this.command('KEYS', pattern)
    return keys.sort()
  }

  /**
   * The commands that the server carried out while `work` ran, by lower-case name; subcommands as `client|setinfo`. What a script calls
   * counts too, beside the script itself (`evalsha`).
   */
  async countCommands<T>(work: () => Promise<T> | T): Promise<{ result: T; calls: Counts; total: number }> {
    const before = await this.commandStats()
    const result = await work()
    const calls = moreThan(before, await this.commandStats())
    return { result, calls, total: Object.values(calls).reduce((sum, count) => sum + count, 0) }
  }

  /** All connections but the harness' own. */
  async clientList(): Promise<ClientInfo[]> {
    const ownId = await this.command('CLIENT', 'ID')
    const lines: string[] = (await this.command('CLIENT', 'LIST')).trim().split('\n')
    return lines.map(parseClient).filter(({ id }) => id !== ownId)
  }

  /** Has the server close connections; without `which`, all but those of replication. Returns how many. */
  async killClients(which: (client: ClientInfo) => boolean = (client) => !/[MS]/.test(client.fields.flags ?? '')): Promise<number> {
    const victims = (await this.clientList()).filter(which)
    const counts: number[] = await Promise.all(victims.map(({ id }) => this.command('CLIENT', 'KILL', 'ID', id)))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** Every key that begins with `prefix`, seen at one moment. */
  async leftovers(prefix = ''): Promise<Leftover[]> {
    const rows: [string, string, number, string[]][] = await this.command('EVAL', LIST_KEYS, 0)
    return rows.map(([key, type, ttlMs, fields]) => ({ key, type, ttlMs, fields })).filter(({ key }) => key.startsWith(prefix))
  }

  /**
   * Asserts that no key beginning with `prefix` is there but those that are `allowed`; an empty prefix means all keys. What is cleaned
   * up in the background has `withinMs` for it, default 2,000; a server that is clean is not waited for.
   */
  async expectEmpty(prefix: string, allowed: RegExp | ((left: Leftover) => boolean) = () => false, withinMs = 2_000): Promise<void> {
    const isAllowed = (left: Leftover) => (allowed instanceof RegExp ? allowed.test(left.key) : allowed(left))
    await eventually(
      async () => {
        const wrong = (await this.leftovers(prefix)).filter((left) => !isAllowed(left))
        if (wrong.length > 0) throw new Error(`left in Redis: ${wrong.map((left) => JSON.stringify(left)).join(', ')}`)
      },
      { what: 'nothing left in Redis', timeoutMs: withinMs },
    )
  }

  /** Asserts that of every name there is at most the last token left: a hash with nothing but `token`, and with a TTL. */
  expectOnlyTokens(prefix = '__halocksmith:', withinMs?: number): Promise<void> {
    return this.expectEmpty(prefix, isLastToken, withinMs)
  }

  /** Closes what {@link connect} opened. */
  disconnect(): void {
    for (const client of this.#clients.splice(0)) client.close()
  }

  private async commandStats(): Promise<Counts> {
    // An INFO is not yet in its own answer.
    const own = { ...this.#own }
    const info: string = await this.command('INFO', 'commandstats')
    const stats: Record<string, number> = {}
    for (const [, name = '', calls] of info.matchAll(/^cmdstat_(.+?):calls=(\d+)/gm)) stats[name] = Number(calls) - (own[name] ?? 0)
    return stats
  }

  /** One connection for as long as it lasts and the server process is the same, so that the harness is hardly seen in what it looks at. */
  private control(): Promise<BareRedis> {
    if (this.#control?.pid === this.server.pid) return this.#control.client
    const control = { client: BareRedis.connect({ port: this.port, password: this.password }), pid: this.server.pid }
    this.#control = control
    const forget = () => {
      if (this.#control === control) this.#control = undefined
    }
    control.client.then((client) => client.closed).then(forget, forget)
    return control.client
  }
}

const LIST_KEYS = `
local rows = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local type = redis.call('TYPE', key).ok
  rows[#rows + 1] = { key, type, redis.call('PTTL', key), type == 'hash' and redis.call('HKEYS', key) or {} }
end
return rows`

/** Whether a key is what a free name may leave: a hash with the field `token` alone, and not for much longer than an hour. */
export function isLastToken({ type, fields, ttlMs }: Leftover): boolean {
  return type === 'hash' && fields.length === 1 && fields[0] === 'token' && ttlMs >= 0 && ttlMs <= TOKEN_TTL_MS
}

/** What a free name may leave: its last token, and for half a minute ids that must not be granted any more. */
export function isTrace(left: Leftover): boolean {
  if (isLastToken(left)) return true
  const others = left.fields.filter((field) => field !== 'token' && field !== 'gone')
  return left.type === 'hash' && left.ttlMs > 0 && left.fields.includes('gone') && others.every((field) => /^[\w-]{22}\.\w+$/.test(field))
}

function parseClient(line: string): ClientInfo {
  const fields = Object.fromEntries(line.split(' ').map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]))
  const sub = Number(fields.sub ?? 0) + Number(fields.psub ?? 0) + Number(fields.ssub ?? 0)
  return { id: Number(fields.id), name: fields.name ?? '', sub, fields }
}
