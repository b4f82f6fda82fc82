/** A primary with two replicas: failed over by sentinels, by a person, or by the locksmiths themselves. */

import { type ReplicaSet, startReplicaSet } from '../../../scripts/redis-replicas.mjs'
import type { RedisServer } from '../../../scripts/redis-server.mjs'
import type { Source } from '../../support/contender.js'
import type { Fault, Site, Topology } from './topology.js'

interface ReplicaSite extends Site {
  readonly set: ReplicaSet
}

async function startSite(sentinels: number, sourceOf: (set: ReplicaSet) => Source): Promise<ReplicaSite> {
  const set = await startReplicaSet({ sentinels })
  return {
    set,
    source: sourceOf(set),
    async settled() {
      await set.whenLinked()
      if (sentinels > 0) await set.whenWatched()
    },
    primaries: async () => [await set.primary()],
    async close() {
      for (const server of [...set.nodes, ...set.sentinels]) server.resume()
      await set.stop()
    },
  }
}

/** As its configuration would have it; what it was told by command it has forgotten. For a moment it takes itself for a primary. */
async function startAsReplica(server: RedisServer, set: ReplicaSet): Promise<void> {
  const primary = await set.primary()
  await server.start()
  await server.command('REPLICAOF', primary.host, primary.port)
}

/** Whoever is to take over does so by itself. */
const PRIMARY_KILLED: Fault<ReplicaSite> = {
  what: 'the primary is killed, and comes back when another has its place',
  async strike(site) {
    await site.settled()
    const primary = await site.set.primary()
    await primary.kill()
    return async () => {
      await site.set.whenPromoted(primary)
      await primary.start()
    }
  },
}

const PRIMARY_STOPPED: Fault<ReplicaSite> = {
  what: 'the primary is stopped, and goes on beside the one that has its place',
  async strike(site) {
    await site.settled()
    const primary = await site.set.primary()
    await primary.pause()
    return async () => {
      await site.set.whenPromoted(primary)
      primary.resume()
    }
  },
}

const REPLICA_KILLED: Fault<ReplicaSite> = {
  what: 'a replica is killed',
  async strike(site, random) {
    await site.settled()
    const replica = random.pick(await site.set.replicas())
    await replica.kill()
    return () => startAsReplica(replica, site.set)
  },
}

const FAILED_OVER: Fault<ReplicaSite> = {
  what: 'an operator has the sentinels fail over, and the old primary stays writable for a while',
  async strike(site) {
    await site.settled()
    await site.set.failover()
    return () => {}
  },
}

const SENTINEL_KILLED: Fault<ReplicaSite> = {
  what: 'a sentinel is killed',
  async strike(site, random) {
    await site.settled()
    const sentinel = random.pick(site.set.sentinels)
    await sentinel.kill()
    return () => sentinel.start()
  },
}

const PROMOTED_BY_HAND: Fault<ReplicaSite> = {
  what: 'the primary is killed, and a person promotes a replica',
  async strike(site, random) {
    await site.settled()
    const primary = await site.set.primary()
    await primary.kill()
    const next = random.pick(await site.set.replicas())
    await site.set.promote(next)
    return () => startAsReplica(primary, site.set)
  },
}

const ASYNCHRONOUS = {
  exclusive: false,
  because: 'replication is asynchronous: a replica that is promoted may lack the newest grants, and an old primary grants until it is told',
} as const

const TIMES = { ttlMs: 2_000, recoverMs: 5_000 } as const

export const WITH_SENTINELS: Topology<ReplicaSite> = {
  name: 'a primary with two replicas and three sentinels',
  start: () => startSite(3, ({ sentinelAddresses }) => ({ options: { sentinels: sentinelAddresses } })),
  faults: [PRIMARY_KILLED, PRIMARY_STOPPED, REPLICA_KILLED, FAILED_OVER, SENTINEL_KILLED],
  promises: ASYNCHRONOUS,
  ...TIMES,
}

export const BY_IOREDIS: Topology<ReplicaSite> = {
  ...WITH_SENTINELS,
  name: "the same, by a caller's ioredis 6",
  start: () =>
    startSite(3, ({ sentinels, name }) => {
      const addresses = sentinels.map(({ host, port }) => ({ host, port }))
      return { options: {}, client: { module: 'ioredis-6', make: 'Redis', args: [{ sentinels: addresses, name, failoverDetector: true }] } }
    }),
}

export const WITHOUT_SENTINELS: Topology<ReplicaSite> = {
  name: 'a primary with two replicas, and nobody who watches them',
  start: () => startSite(0, ({ addresses }) => ({ options: { nodes: addresses } })),
  faults: [PROMOTED_BY_HAND, REPLICA_KILLED],
  promises: ASYNCHRONOUS,
  ...TIMES,
}
