// @ts-check
/**
 * Starts a Redis Cluster for the tests and the benchmark: servers of `redis-server.mjs`, joined, with their slots spread over the primaries.
 * It fails over within two or three seconds.
 */
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { processState } from './processes.mjs'
import { freePort, RedisServer, startRedis } from './redis-server.mjs'

/**
 * @typedef {object} ClusterOptions
 * @property {number} [primaries] default 3, the fewest that can agree on a failover
 * @property {number} [replicas] default: one for each primary
 * @property {number} [nodeTimeoutMs] after this silence a node counts as failed; default 1,000
 * @property {readonly string[]} [args] more settings, for every node
 * @property {string} [password] of every node; default: none
 * @property {import('./redis-server.mjs').FoundServer} [redis] the program; default: what is found
 */

/** @typedef {{ id: string, host: string, port: number, isPrimary: boolean, isSelf: boolean, failed: boolean, primaryId: string, slots: [number, number][] }} NodeInfo */

const SLOTS = 16_384
/** The bus is 10,000 above the port, and must stay below the ports that systems hand to outgoing connections. */
const BUS = 10_000
const HIGHEST_PORT = 22_700
const ATTEMPTS = 20
const POLL_MS = 20
const PATIENCE_MS = 20_000

/**
 * Starts a cluster and resolves when every slot is served and every replica follows its primary.
 *
 * @param {ClusterOptions} [options]
 * @returns {Promise<RedisCluster>}
 */
export async function startCluster({ primaries = 3, replicas = primaries, nodeTimeoutMs = 1_000, args = [], password, redis } = {}) {
  const settings = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', '--cluster-node-timeout', `${nodeTimeoutMs}`]
  settings.push('--cluster-replica-validity-factor', '0', '--cluster-allow-replica-migration', 'no')
  if (password !== undefined) settings.push('--masterauth', password)
  settings.push(...args)
  const count = primaries + replicas
  const started = await Promise.allSettled(Array.from({ length: count }, () => startNode(settings, password, redis)))
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const cluster = new RedisCluster(nodes)
  try {
    for (const one of started) if (one.status === 'rejected') throw one.reason
    await cluster.join(primaries)
    return cluster
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

/** @returns {Promise<RedisServer>} */
async function startNode(/** @type {readonly string[]} */ args, /** @type {string | undefined} */ password, /** @type {any} */ redis) {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      if (port > HIGHEST_PORT || !(await isFree(port + BUS))) throw Object.assign(new Error('taken'), { code: 'EADDRINUSE' })
      return await startRedis({ port, args, password, redis })
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error
    }
  }
}

/** @returns {Promise<boolean>} */
function isFree(/** @type {number} */ port) {
  const probe = createServer()
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

export class RedisCluster {
  /** @param {RedisServer[]} nodes */
  constructor(nodes) {
    /** To kill, pause, restart, and to send commands to; the first were primaries at the start. */
    this.nodes = nodes
  }

  /** Where a client may begin. */
  get seeds() {
    return this.nodes.map(({ host, port }) => ({ host, port }))
  }

  /** Makes a cluster of the nodes. */
  async join(/** @type {number} */ primaries) {
    const [first, ...others] = this.nodes
    await Promise.all(this.nodes.map((node, i) => node.command('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)))
    await Promise.all(others.map((node) => first?.command('CLUSTER', 'MEET', node.host, node.port)))
    await Promise.all(this.nodes.slice(0, primaries).map((node, i) => addSlots(node, share(i, primaries), share(i + 1, primaries))))
    await this.#until('all nodes know one another', async () => {
      const known = await Promise.all(this.nodes.map(async (node) => (await nodesKnownTo(node)).length))
      return known.every((count) => count === this.nodes.length)
    })
    const ids = await Promise.all(this.nodes.map((node) => node.command('CLUSTER', 'MYID')))
    await Promise.all(this.nodes.slice(primaries).map((node, i) => this.#replicate(node, ids[i % primaries])))
    await this.whenOk()
  }

  /**
   * Resolves when every living node sees every slot served, and every living replica follows its primary.
   *
   * @param {number} [timeoutMs]
   */
  async whenOk(timeoutMs = PATIENCE_MS) {
    await this.#until(
      'the cluster is whole',
      async () => {
        const answers = await Promise.all(this.#living.map((node) => healthy(node, this.nodes.length)))
        return answers.every(Boolean)
      },
      timeoutMs,
    )
  }

  /**
   * The primary that serves a key, as the others see it.
   *
   * @param {string | number} keyOrSlot
   * @returns {Promise<RedisServer>}
   */
  async ownerOf(keyOrSlot) {
    const slot = await this.slotOf(keyOrSlot)
    for (const node of this.#living) {
      const owner = (await nodesKnownTo(node)).find((one) => one.isPrimary && !one.failed && has(one, slot))
      const server = this.nodes.find(({ port }) => port === owner?.port)
      if (server?.alive) return server
    }
    throw new Error(`nobody serves slot ${slot}`)
  }

  /**
   * @param {string | number} keyOrSlot
   * @returns {Promise<number>}
   */
  async slotOf(keyOrSlot) {
    return typeof keyOrSlot === 'number' ? keyOrSlot : this.#any.command('CLUSTER', 'KEYSLOT', keyOrSlot)
  }

  /** @returns {Promise<RedisServer[]>} */
  async primaries() {
    const known = await nodesKnownTo(this.#any)
    return this.nodes.filter(
      (node) => node.alive && known.some((one) => one.port === node.port && one.isPrimary && !one.failed && one.slots.length > 0),
    )
  }

  /**
   * The replicas of the primary that serves a key.
   *
   * @returns {Promise<RedisServer[]>}
   */
  async replicasOf(/** @type {string | number} */ keyOrSlot) {
    const owner = await this.ownerOf(keyOrSlot)
    const known = await nodesKnownTo(owner)
    const id = known.find(({ isSelf }) => isSelf)?.id
    return this.nodes.filter((node) => node.alive && known.some((one) => one.port === node.port && one.primaryId === id))
  }

  /**
   * Moves a slot with its keys to another primary, as resharding does, and resolves when all nodes know it. `between`: called before and after the keys are moved, while the slot
   * belongs to both: answers are ASK for a key that is not at the old owner (any more).
   *
   * @param {string | number} keyOrSlot
   * @param {RedisServer} to
   * @param {{ beforeKeys?: () => unknown, afterKeys?: () => unknown }} [between]
   */
  async migrateSlot(keyOrSlot, to, { beforeKeys, afterKeys } = {}) {
    const slot = await this.slotOf(keyOrSlot)
    const from = await this.ownerOf(slot)
    const [fromId, toId] = [await from.command('CLUSTER', 'MYID'), await to.command('CLUSTER', 'MYID')]
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
    await beforeKeys?.()
    await this.migrateKeys(slot, from, to)
    await afterKeys?.()
    await to.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
    await from.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
    await this.#until('all nodes know the slot in its new place', async () => {
      const views = await Promise.all(this.#living.map(nodesKnownTo))
      return views.every((known) => known.some((one) => one.id === toId && has(one, slot)))
    })
  }

  /**
   * Moves the keys of a slot, without the slot.
   *
   * @param {number} slot
   * @param {RedisServer} from
   * @param {RedisServer} to
   */
  async migrateKeys(slot, from, to) {
    for (;;) {
      const keys = /** @type {string[]} */ (await from.command('CLUSTER', 'GETKEYSINSLOT', slot, 100))
      if (keys.length === 0) return
      await from.command('MIGRATE', to.host, to.port, '', 0, 5_000, 'KEYS', ...keys)
    }
  }

  /** Ends all of it. */
  async stop() {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  /** Those that answer: a node that stands still is none. */
  get #living() {
    return this.nodes.filter(({ alive, pid }) => alive && processState(pid) === 'running')
  }

  get #any() {
    const node = this.#living[0]
    if (node === undefined) throw new Error('no node of the cluster is alive')
    return node
  }

  /** A node can only follow one that it knows already. */
  async #replicate(/** @type {RedisServer} */ node, /** @type {string} */ primaryId) {
    await this.#until('a replica knows its primary', () =>
      node.command('CLUSTER', 'REPLICATE', primaryId).then(
        () => true,
        () => false,
      ),
    )
  }

  /**
   * @param {string} what
   * @param {() => Promise<boolean>} condition
   * @param {number} [timeoutMs]
   */
  async #until(what, condition, timeoutMs = PATIENCE_MS) {
    const endMs = performance.now() + timeoutMs
    while (!(await condition().catch(() => false))) {
      if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`)
      await delay(POLL_MS)
    }
  }
}

/** The first slot of a primary's share. */
function share(/** @type {number} */ index, /** @type {number} */ of) {
  return Math.round((SLOTS / of) * index)
}

/** In a form that version 6 knows too. */
async function addSlots(/** @type {RedisServer} */ node, /** @type {number} */ from, /** @type {number} */ to) {
  await node.command('CLUSTER', 'ADDSLOTS', ...Array.from({ length: to - from }, (_, i) => from + i))
}

/** @returns {Promise<boolean>} */
async function healthy(/** @type {RedisServer} */ node, /** @type {number} */ count) {
  const info = String(await node.command('CLUSTER', 'INFO'))
  const known = await nodesKnownTo(node)
  const covered = known
    .filter(({ isPrimary, failed }) => isPrimary && !failed)
    .reduce((sum, { slots }) => sum + slots.reduce((all, [a, b]) => all + b - a + 1, 0), 0)
  if (!/cluster_state:ok/.test(info) || known.length !== count || covered !== SLOTS) return false
  const replication = String(await node.command('INFO', 'replication'))
  return /role:master/.test(replication) || /master_link_status:up/.test(replication)
}

/** @returns {Promise<NodeInfo[]>} what a node knows of all, but for those that it is still meeting */
async function nodesKnownTo(/** @type {RedisServer} */ node) {
  const lines = String(await node.command('CLUSTER', 'NODES'))
    .trim()
    .split('\n')
  return lines.map(parseNode).filter(({ handshake }) => !handshake)
}

function parseNode(/** @type {string} */ line) {
  const [id = '', address = '', flags = '', primaryId = '', , , , , ...slots] = line.split(' ')
  const [, host = '', port = ''] = /^(.*):(\d+)@/.exec(address) ?? []
  const set = new Set(flags.split(','))
  return {
    id,
    host,
    port: Number(port),
    isPrimary: set.has('master'),
    isSelf: set.has('myself'),
    failed: set.has('fail'),
    handshake: set.has('handshake') || set.has('noaddr'),
    primaryId,
    // A slot that is on its way stands in brackets.
    slots: slots.filter((range) => !range.startsWith('[')).map(parseRange),
  }
}

/** @returns {[number, number]} */
function parseRange(/** @type {string} */ range) {
  const [from, to = from] = range.split('-').map(Number)
  return [Number(from), Number(to)]
}

function has(/** @type {NodeInfo} */ { slots }, /** @type {number} */ slot) {
  return slots.some(([from, to]) => from <= slot && slot <= to)
}
