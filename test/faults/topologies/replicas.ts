/** A primary with two replicas: failed over by sentinels, by a person, or by the locksmiths themselves. */

import { type ReplicaSet, startReplicaSet } from '../../../scripts/redis-replicas.mjs'
import type { RedisServer } from '../../../scripts/redis-server.mjs'
import type { Source } from '../../support/contender.js'
import type { Fault, Site, Topology } from './topology.js'

interface ReplicaSite extends Site {
  readonly set: ReplicaSet
}

async function startSite(sentinels: number, sourceOf: (set: ReplicaSet) => Source, args: readonly string[] = []): Promise<ReplicaSite> {
  const set = await startReplicaSet({ sentinels, args })
  return {
    set,
    source: sourceOf(set),
    async settled() {
      try {
        await set.whenLinked()
        if (sentinels > 0) await set.whenWatched()
      } catch (cause) {
        throw new Error(`${(cause as Error).message}; ${await rolesOf(set)}`, { cause })
      }
    },
    primaries: async () => [await set.primary()],
    async close() {
      for (const server of [...set.nodes, ...set.sentinels]) server.resume()
      await set.stop()
    },
  }
}

/** What each server says of itself, for whoever has to find out why. */
async function rolesOf({ nodes }: ReplicaSet): Promise<string> {
  const roles = nodes.map(async (node) => `${node.port} says ${node.alive ? JSON.stringify(await node.command('ROLE')) : 'nothing'}`)
  return (await Promise.all(roles)).join('; ')
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

export const CONFIRMED: Topology<ReplicaSite> = {
  ...WITH_SENTINELS,
  name: 'the same, with grants that a replica confirms',
  start: () => startSite(3, ({ sentinelAddresses }) => ({ options: { sentinels: sentinelAddresses, minReplicas: 1 } })),
  promises: {
    exclusive: false,
    because: 'the replica that confirmed a grant need not be the one that is promoted',
  },
}

export const WITHOUT_SENTINELS: Topology<ReplicaSite> = {
  name: 'a primary with two replicas, and nobody who watches them',
  start: () => startSite(0, ({ addresses }) => ({ options: { nodes: addresses } })),
  faults: [PROMOTED_BY_HAND, REPLICA_KILLED],
  promises: ASYNCHRONOUS,
  ...TIMES,
}

/** How long the primary must have been away before the locksmiths promote a replica. */
const FAILOVER_AFTER_MS = 1_000
/** As long as a replica takes the primary for alive, nobody promotes one: for a minute by default, if the primary hangs and does not die. */
const NOTICES_SILENCE: readonly string[] = ['--repl-timeout', '3', '--repl-ping-replica-period', '1']

export const PROMOTED_BY_CLIENTS: Topology<ReplicaSite> = {
  name: 'a primary with two replicas, promoted by the locksmiths themselves',
  start: () =>
    startSite(
      0,
      ({ addresses }) => ({ options: { nodes: addresses, failover: 'promote', failoverAfterMs: FAILOVER_AFTER_MS } }),
      NOTICES_SILENCE,
    ),
  faults: [PRIMARY_KILLED, PRIMARY_STOPPED, REPLICA_KILLED],
  promises: ASYNCHRONOUS,
  warnings: ['HALOCKSMITH_FAILOVER'],
  ...TIMES,
}
