/** A Cluster of three primaries with a replica each. */

import { type RedisCluster, startCluster } from '../../../scripts/redis-cluster.mjs'
import type { RedisServer } from '../../../scripts/redis-server.mjs'
import type { Source } from '../../support/contender.js'
import type { Random } from '../../support/random.mjs'
import type { Fault, Site, Topology } from './topology.js'

interface ClusterSite extends Site {
  readonly cluster: RedisCluster
}

async function startSite(sourceOf: (cluster: RedisCluster) => Source): Promise<ClusterSite> {
  const cluster = await startCluster()
  return {
    cluster,
    source: sourceOf(cluster),
    settled: () => cluster.whenOk(),
    primaries: () => cluster.primaries(),
    async close() {
      for (const node of cluster.nodes) node.resume()
      await cluster.stop()
    },
  }
}

/** Of those that the faults before have left in office. */
async function anyPrimary({ cluster }: ClusterSite, random: Random): Promise<RedisServer> {
  await cluster.whenOk()
  return random.pick(await cluster.primaries())
}

const KILLED: Fault<ClusterSite> = {
  what: 'a primary is killed, and comes back empty as whatever it is by then',
  async strike(site, random) {
    const primary = await anyPrimary(site, random)
    await primary.kill()
    return () => primary.start()
  },
}

const STOPPED: Fault<ClusterSite> = {
  what: 'a primary is stopped until its replica has its place, and goes on',
  async strike(site, random) {
    const primary = await anyPrimary(site, random)
    await primary.pause()
    return () => primary.resume()
  },
}

const REPLICA_KILLED: Fault<ClusterSite> = {
  what: 'a replica is killed',
  async strike({ cluster }, random) {
    await cluster.whenOk()
    const primaries = await cluster.primaries()
    const replica = random.pick(cluster.nodes.filter((node) => !primaries.includes(node)))
    await replica.kill()
    return () => replica.start()
  },
}

const FAILED_OVER: Fault<ClusterSite> = {
  what: 'an operator has a replica take over (CLUSTER FAILOVER)',
  async strike(site, random) {
    await site.cluster.whenOk()
    const primaries = await site.cluster.primaries()
    const replica = random.pick(site.cluster.nodes.filter((node) => !primaries.includes(node)))
    await replica.command('CLUSTER', 'FAILOVER')
    return () => {}
  },
}

const RESHARDED: Fault<ClusterSite> = {
  what: 'the slot of a contended name is moved to another primary',
  async strike({ cluster }, random) {
    await cluster.whenOk()
    const key = random.pick(['{ledger}', '{stock}', '{report}'])
    const from = await cluster.ownerOf(key)
    const to = random.pick((await cluster.primaries()).filter((node) => node !== from))
    await cluster.migrateSlot(key, to)
    return () => {}
  },
}

const BASE = {
  faults: [KILLED, STOPPED, REPLICA_KILLED, FAILED_OVER, RESHARDED],
  promises: {
    exclusive: false,
    because:
      'replication is asynchronous: a replica that takes over may lack the newest grants, and an old primary grants until it is told',
  },
  ttlMs: 2_000,
  recoverMs: 5_000,
} as const

export const BY_NODES: Topology<ClusterSite> = {
  name: 'a Cluster of three primaries and three replicas',
  start: () => startSite(({ seeds }) => ({ options: { nodes: seeds.map(({ port }) => port) } })),
  ...BASE,
}

export const BY_NODE_REDIS: Topology<ClusterSite> = {
  name: "a Cluster, by a caller's node-redis 6",
  start: () =>
    startSite(({ seeds }) => ({
      options: {},
      client: { module: 'redis-6', make: 'createCluster', args: [{ rootNodes: seeds.map((socket) => ({ socket })) }] },
    })),
  ...BASE,
}

export const BY_IOREDIS: Topology<ClusterSite> = {
  name: "a Cluster, by a caller's ioredis 6",
  start: () => startSite(({ seeds }) => ({ options: {}, client: { module: 'ioredis-6', make: 'Cluster', args: [seeds] } })),
  ...BASE,
}
