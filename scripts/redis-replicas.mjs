// @ts-check
/**
 * Starts a primary with its replicas, and sentinels that watch over them where they are asked for: for tests of what happens when one of
 * them goes. As with `redis-server.mjs`, nothing outlives the process that started it.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { BareRedis } from './bare-redis.mjs'
import { findRedisServer } from './find-redis.mjs'
import { freePort, startRedis } from './redis-server.mjs'

/** @typedef {import('./redis-server.mjs').RedisServer} RedisServer */

/**
 * @typedef {object} ReplicaSetOptions
 * @property {number} [replicas] how many beside the primary; default 2
 * @property {number} [sentinels] default 0; three can lose one
 * @property {string} [name] what the sentinels call the primary; default `mymaster`
 * @property {number} [downAfterMs] how long a server may be silent before a sentinel counts it as down; default 500
 * @property {number} [failoverTimeoutMs] default 2,000; twice that passes before sentinels fail over again by themselves
 * @property {string} [password] of primary and replicas
 * @property {string} [sentinelPassword] of the sentinels
 * @property {readonly string[]} [args] settings of primary and replicas
 * @property {import('./find-redis.mjs').FoundServer} [redis] the program; default: what `findRedisServer({ install: 'never' })` finds
 */

const HOST = '127.0.0.1'
/** How long anything here may take. A failover takes a second, and a few where the sentinels voted for several leaders. */
const PATIENCE_MS = 20_000
const POLL_MS = 20

/**
 * Starts the servers, and resolves when every replica is linked and every sentinel knows all others and all replicas.
 *
 * @param {ReplicaSetOptions} [options]
 */
export async function startReplicaSet(options = {}) {
  const redis = options.redis ?? (await findRedisServer({ install: 'never' }))
  if (redis.path === null) throw new Error(redis.reason)
  const set = new ReplicaSet({ replicas: 2, sentinels: 0, name: 'mymaster', downAfterMs: 500, failoverTimeoutMs: 2_000, ...options, redis })
  try {
    await set.start()
    return set
  } catch (error) {
    await set.stop()
    throw error
  }
}

/** What {@link startReplicaSet} makes. Servers are killed, paused and started again one by one: each is a `RedisServer`. */
export class ReplicaSet {
  /** Primary and replicas, whoever is which at the moment; at first the primary is the first. @type {RedisServer[]} */
  nodes = []
  /** @type {RedisServer[]} */
  sentinels = []
  #options

  /** @param {ReplicaSetOptions & { replicas: number, sentinels: number, name: string, redis: import('./find-redis.mjs').FoundServer }} options */
  constructor(options) {
    this.#options = options
    this.name = options.name
  }

  /** `host:port` of each, as a list of nodes is given. */
  get addresses() {
    return this.nodes.map(({ host, port }) => `${host}:${port}`)
  }

  get sentinelAddresses() {
    return this.sentinels.map(({ host, port }) => `${host}:${port}`)
  }

  async start() {
    const { replicas, password, args = [], redis } = this.#options
    const auth = password === undefined ? [] : ['--masterauth', password]
    const nodeOptions = { redis, password, args: [...auth, ...args] }
    this.nodes.push(await startRedis(nodeOptions))
    const [primary] = /** @type {[RedisServer]} */ (this.nodes)
    for (let i = 0; i < replicas; i++) this.nodes.push(await startRedis(nodeOptions))
    // By command rather than by setting: what it is told later must outlast nothing but its process.
    await Promise.all(this.nodes.slice(1).map((node) => node.command('REPLICAOF', HOST, primary.port)))
    await this.whenLinked()
    await this.#startSentinels(primary)
  }

  async stop() {
    await Promise.all([...this.sentinels, ...this.nodes].map((server) => server.stop()))
  }

  /**
   * The server that is the primary now, as most see it: the one that answers as such and that most replicas name.
   *
   * @returns {Promise<RedisServer>}
   */
  async primary() {
    const roles = await Promise.all(this.nodes.map(roleOf))
    const named = roles.map((role) => (role?.[0] === 'slave' ? Number(role[2]) : 0))
    const votes = (/** @type {RedisServer} */ node) => named.filter((port) => port === node.port).length
    const primaries = this.nodes.filter((_, i) => roles[i]?.[0] === 'master').sort((a, b) => votes(b) - votes(a))
    if (primaries[0] === undefined) throw new Error('none of the servers is a primary')
    return primaries[0]
  }

  /** Those that answer as replicas now. */
  async replicas() {
    const roles = await Promise.all(this.nodes.map(roleOf))
    return this.nodes.filter((_, i) => roles[i]?.[0] === 'slave')
  }

  /**
   * Has the sentinels make a replica the primary, as an operator does, and resolves to the new primary as soon as it is one. The old one
   * stays writable for about ten seconds beside it.
   */
  async failover() {
    const before = await this.primary()
    await this.#sentinelCommand('FAILOVER', this.name)
    return this.whenPromoted(before)
  }

  /**
   * Resolves to the new primary as soon as another server than this one is one.
   *
   * @param {RedisServer} before
   * @returns {Promise<RedisServer>}
   */
  async whenPromoted(before) {
    return poll('another primary', async () => {
      const roles = await Promise.all(this.nodes.map(roleOf))
      return this.nodes.find((node, i) => node !== before && roles[i]?.[0] === 'master')
    })
  }

  /**
   * Makes a server the primary, as an operator does where there are no sentinels: it, and those of the others that answer.
   *
   * @param {RedisServer} next
   * @param {{ leaveAlone?: readonly RedisServer[] }} [options] `leaveAlone`: these are not told
   */
  async promote(next, { leaveAlone = [] } = {}) {
    await next.command('REPLICAOF', 'NO', 'ONE')
    const others = this.nodes.filter((node) => node !== next && node.alive && !leaveAlone.includes(node))
    await Promise.all(others.map((node) => node.command('REPLICAOF', HOST, next.port).catch(() => {})))
  }

  /** Resolves when there is one primary, and all other servers that run replicate from it. */
  async whenLinked() {
    await this.#whenConnected()
    const primary = await this.primary()
    // After a full synchronization, replicas say that they are connected up to a second before they are sent anything.
    const client = await BareRedis.connect({ port: primary.port, password: this.#options.password })
    try {
      const replicas = this.nodes.filter(({ alive }) => alive).length - 1
      await poll('replicas have what the primary has', async () => {
        await client.command('PUBLISH', 'harness', '')
        return (await client.command('WAIT', replicas, 1_000)) >= replicas
      })
    } finally {
      client.close()
    }
  }

  async #whenConnected() {
    await poll('all replicas are linked', async () => {
      const [primary, roles] = [await this.primary(), await Promise.all(this.nodes.map(roleOf))]
      return this.nodes.every((node, i) => {
        if (!node.alive || node === primary) return true
        const [kind, , port, link] = roles[i] ?? []
        return kind === 'slave' && Number(port) === primary.port && link === 'connected'
      })
    })
  }

  /** Resolves when all sentinels agree on who is primary, know each other and all replicas, and see nothing down. */
  async whenWatched() {
    await poll('the sentinels agree', () => this.#isWatched())
  }

  async #isWatched() {
    const primary = await this.primary()
    const views = await Promise.all(this.sentinels.map((sentinel) => this.#view(sentinel)))
    return views.every(({ master, replicas }) => {
      const others = this.sentinels.length - 1
      const isWhole =
        replicas.length === this.nodes.length - 1 && replicas.every((one) => one.flags === 'slave' && one['master-link-status'] === 'ok')
      return (
        Number(master.port) === primary.port && master.flags === 'master' && Number(master['num-other-sentinels']) === others && isWhole
      )
    })
  }

  /** After whatever a test did: everything runs, has one primary, is linked, watched and empty. Sentinels may have other ports then. */
  async heal() {
    for (const server of [...this.nodes, ...this.sentinels]) server.resume()
    // They would go on with what they had begun, and leave a former primary alone for ten seconds.
    await Promise.all(this.sentinels.splice(0).map((sentinel) => sentinel.stop()))
    for (const node of this.nodes) if (!node.alive) await node.start()
    const primary = await this.primary().catch(() => /** @type {RedisServer} */ (this.nodes[0]))
    await this.promote(primary)
    await this.whenLinked()
    await this.#startSentinels(primary)
    await primary.command('FLUSHALL')
  }

  /** @param {RedisServer} primary */
  async #startSentinels(primary) {
    const { sentinels, downAfterMs, failoverTimeoutMs, password, sentinelPassword, redis, name } = this.#options
    if (sentinels === 0) return
    const quorum = Math.floor(sentinels / 2) + 1
    /** @type {{ port: number, id: string }[]} */
    const all = []
    for (let i = 0; i < sentinels; i++) all.push({ port: await freePort(), id: randomBytes(20).toString('hex') })
    const started = all.map(({ port, id }) => {
      // What they would find out by themselves, in seconds, is told to them.
      const others = all
        .filter((other) => other.id !== id)
        .map((other) => `sentinel known-sentinel ${name} ${HOST} ${other.port} ${other.id}`)
      const replicas = this.nodes.filter((node) => node !== primary).map((node) => `sentinel known-replica ${name} ${HOST} ${node.port}`)
      const config = [
        `sentinel myid ${id}`,
        `sentinel monitor ${name} ${HOST} ${primary.port} ${quorum}`,
        `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
        `sentinel failover-timeout ${name} ${failoverTimeoutMs}`,
        `sentinel parallel-syncs ${name} ${this.nodes.length}`,
        ...(password === undefined ? [] : [`sentinel auth-pass ${name} ${password}`]),
        ...(sentinelPassword === undefined ? [] : [`sentinel sentinel-pass ${sentinelPassword}`]),
        ...others,
        ...replicas,
        '',
      ].join('\n')
      return startRedis({ port, redis, config, password: sentinelPassword, args: ['--sentinel'] })
    })
    const settled = await Promise.allSettled(started)
    for (const one of settled) if (one.status === 'fulfilled') this.sentinels.push(one.value)
    for (const one of settled) if (one.status === 'rejected') throw one.reason
    // They look every ten seconds; how long a former primary is left alone does not depend on it. Older ones than 7.0 don't know this.
    await Promise.all(this.sentinels.map((sentinel) => sentinel.command('SENTINEL', 'DEBUG', 'INFO-PERIOD', 500).catch(() => {})))
    await this.whenWatched()
  }

  /**
   * @param {RedisServer} sentinel
   * @returns {Promise<{ master: Record<string, string>, replicas: Record<string, string>[] }>}
   */
  async #view(sentinel) {
    const [master, replicas] = await Promise.all([
      sentinel.command('SENTINEL', 'MASTER', this.name),
      sentinel.command('SENTINEL', 'REPLICAS', this.name),
    ])
    return { master: fields(master), replicas: replicas.map(fields) }
  }

  /** Of the first sentinel that runs. @param {...string} args */
  async #sentinelCommand(...args) {
    const sentinel = this.sentinels.find(({ alive }) => alive)
    if (sentinel === undefined) throw new Error('there is no sentinel to ask')
    return sentinel.command('SENTINEL', ...args)
  }
}

/** What a server says of itself; undefined when it does not answer soon. @param {RedisServer} server */
async function roleOf(server) {
  if (!server.alive) return undefined
  const giveUp = new AbortController()
  const late = delay(500, undefined, { signal: giveUp.signal }).catch(() => undefined)
  const role = await Promise.race([server.command('ROLE').catch(() => undefined), late])
  giveUp.abort()
  return role
}

/** @param {string[]} flat name then value */
function fields(flat) {
  /** @type {Record<string, string>} */
  const map = {}
  for (let i = 0; i < flat.length; i += 2) map[/** @type {string} */ (flat[i])] = /** @type {string} */ (flat[i + 1])
  return map
}

/**
 * @template T
 * @param {string} what
 * @param {() => Promise<T>} look
 * @returns {Promise<Exclude<T, false | undefined>>}
 */
async function poll(what, look) {
  const deadline = performance.now() + PATIENCE_MS
  /** @type {unknown} */
  let problem
  for (;;) {
    const found = await look().catch((error) => void (problem = error))
    if (found) return /** @type {Exclude<T, false | undefined>} */ (found)
    if (performance.now() > deadline) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`, { cause: problem })
    await delay(POLL_MS)
  }
}
