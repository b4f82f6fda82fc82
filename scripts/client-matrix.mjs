// @ts-check
/**
 * Which client library works on which topology, and what is particular about it: the one list that the tests take their skips from, and that
 * `docs/reference/clients.md` is made of.
 */

/**
 * @typedef {object} Support What is so with one client on one topology.
 * @property {'publish' | 'spublish' | 'none'} wake how its process is woken
 * @property {string} hears on which connection
 * @property {boolean} [resends] sends unanswered commands again after a lost connection
 * @property {boolean} [silent] tells nobody of a lost connection: it is seen when a command fails
 * @property {string} [unordered] why commands that are under way at the same time are not carried out in the order of their sending
 * @property {string} [notOnNode] the first Node version that it does not run on, with the reason: `23: …`
 */

/** @typedef {'server' | 'sentinel' | 'cluster'} Topology */

/**
 * @typedef {object} ClientLibrary
 * @property {string} id as the tests call it
 * @property {string} packages
 * @property {Record<Topology, Support | string>} on a text: why it can't be used there
 * @property {readonly string[]} traps what its users have to know
 */

const SECOND = 'a second connection, made like the first'
const OWN = "the caller's own connection where it speaks RESP3, else a second one"
const NODES = 'connections of our own to single nodes'
const ANY_ORDER = 'GLIDE sends commands that are under way at the same time in any order'

const nodeRedisCluster = { wake: /** @type {const} */ ('spublish'), hears: NODES }
const nodeRedisSentinel = { wake: /** @type {const} */ ('publish'), hears: 'a second connection to the primary' }
const ioredisServer = { wake: /** @type {const} */ ('publish'), hears: SECOND, resends: true }
const ioredisSentinel = {
  wake: /** @type {const} */ ('publish'),
  hears: 'a second connection, made through the same sentinels',
  resends: true,
}
const ioredisCluster = { wake: /** @type {const} */ ('spublish'), hears: NODES }
const glide = { silent: true, unordered: ANY_ORDER }

const NO_SENTINEL = 'the library knows no sentinels'
const NO_CLUSTER = 'the library knows no Cluster'
const BUN = 'after a lost connection it says that it is connected, and never subscribes again (oven-sh/bun#33450)'

const NO_QUEUE = 'Its queue of commands for later is not used: what it can not send at once fails, and is asked for again.'
const KEY_PREFIX =
  'A `keyPrefix` (in node_redis `prefix`) changes the names of locks, and who has another excludes nobody: set `prefix` of this library instead. A warning says so.'
const SCALE_READS = 'On a Cluster, `scaleReads` has no effect on locks: all of their commands go to primaries.'
const FAILOVER_DETECTOR =
  'With sentinels, set `failoverDetector: true`: without it the library goes on writing to a replaced primary for about ten seconds. A warning says so.'
const GLIDE_LOGGER =
  "GLIDE prints every error reply to the standard output; `Logger.setLoggerConfig('off')` switches that off. On one server it has nothing to print in normal use; on a Cluster each node may say NOSCRIPT once."
const GLIDE_SECOND =
  'Messages are heard by a second client, made from the configuration of yours and of the same class, which is asked once a second whether its connection is still the same. A class that wraps GLIDE, or a version without subscribe(), gets none: waiters poll.'
const GLIDE_TIMEOUT =
  'Its `requestTimeout`, 250 ms if you set none, also limits our requests. Its `connectionBackoff` decides how soon it is back after an outage, by default after seconds.'
const NO_ERROR_LISTENER = "A node-redis client without a listener for 'error' ends the process when its connection is lost."

/** @type {readonly ClientLibrary[]} */
export const CLIENTS = [
  {
    id: 'redis 6',
    packages: '`redis` 6, `@redis/client` 6',
    on: { server: { wake: 'publish', hears: OWN }, sentinel: nodeRedisSentinel, cluster: nodeRedisCluster },
    traps: [
      NO_ERROR_LISTENER,
      NO_QUEUE,
      'Pass the client, not its `legacy()` view, and no pool.',
      'While sentinels carry out a failover the library asks them once a second: it follows two to three seconds after a promotion by command.',
    ],
  },
  {
    id: 'redis 5',
    packages: '`redis` 5, `@redis/client` 5',
    on: { server: { wake: 'publish', hears: OWN }, sentinel: nodeRedisSentinel, cluster: nodeRedisCluster },
    traps: [
      NO_ERROR_LISTENER,
      NO_QUEUE,
      'On a Cluster, commands of your own go to a primary that died for as long as it is away: the library learns of another map only from an answer. This library asks for itself and shows it the way; better take version 6.',
    ],
  },
  {
    id: 'redis 4',
    packages: '`redis` 4',
    on: {
      server: { wake: 'publish', hears: SECOND },
      sentinel: 'createSentinel() came with version 5',
      cluster: nodeRedisCluster,
    },
    traps: [NO_ERROR_LISTENER, NO_QUEUE, 'On a Cluster it has the weakness of version 5.'],
  },
  {
    id: 'ioredis 6',
    packages: '`ioredis` 6',
    on: { server: ioredisServer, sentinel: ioredisSentinel, cluster: ioredisCluster },
    traps: [FAILOVER_DETECTOR, KEY_PREFIX, SCALE_READS, NO_QUEUE],
  },
  {
    id: 'ioredis 5',
    packages: '`ioredis` 5',
    on: { server: ioredisServer, sentinel: ioredisSentinel, cluster: ioredisCluster },
    traps: [FAILOVER_DETECTOR, KEY_PREFIX, SCALE_READS, NO_QUEUE],
  },
  {
    id: 'iovalkey',
    packages: '`iovalkey`',
    on: { server: ioredisServer, sentinel: ioredisSentinel, cluster: ioredisCluster },
    traps: [FAILOVER_DETECTOR, KEY_PREFIX, SCALE_READS, NO_QUEUE],
  },
  {
    id: 'GLIDE',
    packages: '`@valkey/valkey-glide` 2',
    on: {
      server: { wake: 'publish', hears: 'a second client', ...glide },
      sentinel: NO_SENTINEL,
      cluster: { wake: 'spublish', hears: 'a second client', ...glide },
    },
    traps: [GLIDE_LOGGER, GLIDE_SECOND, GLIDE_TIMEOUT],
  },
  {
    id: 'redis 3',
    packages: '`redis` 3',
    on: { server: { wake: 'publish', hears: SECOND }, sentinel: NO_SENTINEL, cluster: NO_CLUSTER },
    traps: [KEY_PREFIX],
  },
  {
    id: 'redis 2',
    packages: '`redis` 2.8',
    on: { server: { wake: 'publish', hears: SECOND }, sentinel: NO_SENTINEL, cluster: NO_CLUSTER },
    traps: [KEY_PREFIX],
  },
  {
    id: 'redis 0.7',
    packages: '`redis` 0.7',
    on: { server: { wake: 'none', hears: 'none' }, sentinel: NO_SENTINEL, cluster: NO_CLUSTER },
    traps: ['It can not be made a second time, so that its waiters poll, five times a second.'],
  },
  {
    id: 'haredis',
    packages: '`haredis`',
    on: {
      server: { wake: 'none', hears: 'none', notOnNode: '23: haredis calls util.isArray, which newer versions of Node do not have' },
      sentinel: NO_SENTINEL,
      cluster: NO_CLUSTER,
    },
    traps: [
      'Its waiters poll, five times a second.',
      'It sends CONFIG SET slave-read-only no to your servers when it connects. Locks taken through it are as safe as its own failover.',
    ],
  },
  {
    id: 'Bun',
    packages: "Bun's `RedisClient`",
    on: { server: BUN, sentinel: BUN, cluster: BUN },
    traps: [],
  },
]

/**
 * @param {string} id
 * @param {Topology} topology
 * @returns {Support} of a client that can be used there
 */
export function supportOf(id, topology) {
  const support = CLIENTS.find((client) => client.id === id)?.on[topology]
  if (support === undefined || typeof support === 'string') throw new Error(`${id} on ${topology}: ${support ?? 'not in the list'}`)
  return support
}
