import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest'
import { type ClusterOptions, type RedisCluster, startCluster } from '../../scripts/redis-cluster.mjs'
import type { RedisServer } from '../../scripts/redis-server.mjs'
import type { Counts } from './leaks.js'
import { type ClientInfo, type Leftover, TestRedis } from './redis.js'

/**
 * A Redis Cluster for the tests of a file or suite, as `useRedis` is a server. Before each test it is whole and empty; what was killed or paused
 * is brought back.
 */
export function useCluster(options: Omit<ClusterOptions, 'redis'> = {}): TestCluster {
  const program = inject('redisProgram')
  const cluster = new TestCluster()
  if (program.path === null) {
    beforeEach(({ skip }) => skip(program.reason))
    return cluster
  }
  beforeAll(async () => {
    cluster.use(await startCluster({ ...options, redis: program }))
  })
  beforeEach(() => cluster.mend(), 30_000)
  afterEach(() => cluster.disconnect())
  afterAll(() => cluster.servers.stop())
  return cluster
}

/** What tests do to a cluster from outside the library. */
export class TestCluster {
  #servers: RedisCluster | undefined
  readonly #redis = new Map<RedisServer, TestRedis>()

  /** To kill, pause, migrate slots. */
  get servers(): RedisCluster {
    if (!this.#servers) throw new Error('there is no cluster: set-up that needs one belongs into beforeEach, which is skipped then')
    return this.#servers
  }

  use(servers: RedisCluster): void {
    this.#servers = servers
    for (const node of servers.nodes) {
      const redis = new TestRedis()
      redis.server = node
      this.#redis.set(node, redis)
    }
  }

  get seeds(): { host: string; port: number }[] {
    return this.servers.seeds
  }

  on(node: RedisServer): TestRedis {
    return this.#redis.get(node) as TestRedis
  }

  /** The node that has a lock's keys, under the usual prefix or another. */
  ownerOf(name: string, prefix = '__halocksmith:'): Promise<RedisServer> {
    return this.servers.ownerOf(`${prefix}{${name}}`)
  }

  /** Names of locks of which each is on another primary. */
  async namesApart(stem = 'lock'): Promise<string[]> {
    const found = new Map<RedisServer, string>()
    const count = (await this.servers.primaries()).length
    for (let i = 0; found.size < count; i++) {
      const owner = await this.ownerOf(`${stem}${i}`)
      if (!found.has(owner)) found.set(owner, `${stem}${i}`)
    }
    return [...found.values()]
  }

  async primaries(): Promise<TestRedis[]> {
    return (await this.servers.primaries()).map((node) => this.on(node))
  }

  /** Whole, and without keys. */
  async mend(): Promise<void> {
    for (const node of this.servers.nodes) {
      if (node.alive) node.resume()
      else await node.start()
    }
    await this.servers.whenOk()
    await Promise.all((await this.primaries()).map((redis) => redis.flush()))
  }

  /** As of one server: the commands that all primaries carried out while `work` ran. */
  async countCommands<T>(work: () => Promise<T> | T): Promise<{ result: T; calls: Counts }> {
    const calls: Record<string, number> = {}
    let result: T | undefined
    const layers = (await this.primaries()).reduce<() => Promise<void>>(
      (inner, redis) => async () => {
        const counted = await redis.countCommands(inner)
        for (const [name, count] of Object.entries(counted.calls)) calls[name] = (calls[name] ?? 0) + count
      },
      async () => {
        result = await work()
      },
    )
    await layers()
    return { result: result as T, calls }
  }

  /** All connections of programs; those of the harness and between nodes are none. */
  async clientList(): Promise<ClientInfo[]> {
    const living = this.servers.nodes.filter(({ alive }) => alive)
    const lists = await Promise.all(living.map((node) => this.on(node).clientList()))
    return lists.flat().filter(({ fields }) => !/[MS]/.test(fields.flags ?? ''))
  }

  /** Of every primary; see `TestRedis.expectEmpty`. */
  async expectEmpty(prefix: string, allowed?: RegExp | ((left: Leftover) => boolean)): Promise<void> {
    for (const redis of await this.primaries()) await redis.expectEmpty(prefix, allowed)
  }

  /** Asserts that of every name there is at most the last token left. */
  async expectOnlyTokens(prefix?: string): Promise<void> {
    for (const redis of await this.primaries()) await redis.expectOnlyTokens(prefix)
  }

  disconnect(): void {
    for (const redis of this.#redis.values()) redis.disconnect()
  }
}
