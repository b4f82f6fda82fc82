import { expect, test } from 'vitest'
import { testClients } from '../support/client-cases.js'
import { useCluster } from '../support/cluster.js'
import { CLUSTER_LIBRARIES } from '../support/libraries.js'
import { until } from '../support/until.js'

/** The port's contract on every library that knows Clusters, and that it outlives a primary. */

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
  const count = counts.reduce((sum, one) => sum + one, 0)
  // To nobody it is not sent: it would reach another node late, when somebody hears there.
  if (count > 0) await primaries[0]?.command(...args)
  return count
}

test('commands and messages of all of them outlive a primary', async () => {
  const key = '{k}'
  const connected = CLUSTER_LIBRARIES.map(async ({ name, connect }) => ({ name, ...(await connect(cluster.seeds)), heard: [] as string[] }))
  const made = await Promise.all(connected)
  try {
    for (const { client, heard } of made) {
      await until(() => client.isUp)
      const listener = { message: (text: string) => void heard.push(text), restored: () => void heard.push('restored') }
      await client.subscribe('plain', listener)
      await client.subscribeSharded?.(`${key}sharded`, listener)
    }
    const owner = await cluster.servers.ownerOf(key)
    await owner.kill()
    const follows = async ({ name, client, heard }: (typeof made)[number]) => {
      const set = () => client.command(['SET', key, 'x'], key).then(Boolean, () => false)
      await until(set, { what: `${name} writes again`, timeoutMs: 15_000 })
      await until(() => heard.includes('restored'), { what: `${name} hears again`, timeoutMs: 10_000 })
    }
    await Promise.all(made.map(follows))
    const successor = cluster.on(await cluster.servers.ownerOf(key))
    await until(async () => (await successor.command('PUBSUB', 'SHARDNUMSUB', `${key}sharded`))[1] === made.length)
    await successor.command('SPUBLISH', `${key}sharded`, 'sharded')
    await successor.command('PUBLISH', 'plain', 'plain')
    await until(() => made.every(({ heard }) => heard.includes('sharded') && heard.includes('plain')))
    expect(made.map(({ client }) => client.isUp)).not.toContain(false)
  } finally {
    for (const { client, dispose } of made) {
      await client.close()
      await dispose()
    }
  }
}, 40_000)
