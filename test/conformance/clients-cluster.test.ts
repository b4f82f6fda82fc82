import { testClients } from '../support/client-cases.js'
import { useCluster } from '../support/cluster.js'
import { CLUSTER_LIBRARIES } from '../support/libraries.js'

/** The port's contract on every library that knows Clusters. */

const cluster = useCluster()

testClients(CLUSTER_LIBRARIES, { where: () => cluster.seeds, command, isCluster: true })

/** As the suite asks for it. */
async function command(...args: string[]): Promise<unknown> {
  const [name, first = ''] = args
  const primaries = await cluster.primaries()
  if (name === 'FLUSHALL') return Promise.all(primaries.map((redis) => redis.command(...args)))
  const all = cluster.servers.nodes.map((node) => cluster.on(node))
  if (name === 'CLIENT') return (await Promise.all(all.map((redis) => redis.command(...args)))).join('\n')
  if (name !== 'PUBLISH') return cluster.on(await cluster.servers.ownerOf(first)).command(...args)
  const counts: number[] = await Promise.all(all.map(async (redis) => (await redis.command('PUBSUB', 'NUMSUB', first))[1]))
  // To nobody it is not sent, and to others where they are: it would reach another node late, when somebody else hears there.
  await all[counts.findIndex((count) => count > 0)]?.command(...args)
  return counts.reduce((sum, one) => sum + one, 0)
}
