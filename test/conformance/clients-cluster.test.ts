import { createRequire } from 'node:module'
import { describe, test } from 'vitest'
import { toRedisClient } from '../../src/clients/detect.js'
import { clientConformance } from '../../src/testing/client-conformance.js'
import type { Raw } from '../support/libraries.js'
import { useCluster } from '../support/cluster.js'

const cluster = useCluster()
const require = createRequire(import.meta.url)

async function command(...args: string[]): Promise<unknown> {
  const everywhere = () => Promise.all(cluster.servers.nodes.map((node) => cluster.on(node).command(...args)))
  const [name = '', first = ''] = args
  if (name === 'FLUSHALL') return Promise.all((await cluster.primaries()).map((redis) => redis.command(...args)))
  if (name === 'CLIENT') return (await everywhere()).join('\n')
  if (name === 'PUBLISH') {
    const counts = await Promise.all(cluster.servers.nodes.map((node) => cluster.on(node).command('PUBSUB', 'NUMSUB', first)))
    const [any] = await cluster.primaries()
    await any!.command(...args)
    return counts.reduce((sum, reply) => sum + Number((reply as unknown[])[1]), 0)
  }
  return cluster.on(await cluster.servers.ownerOf(first)).command(...args)
}

const LIBS: [string, () => Promise<{ raw: Raw; end: () => unknown }>, object][] = [
  ...['ioredis-6', 'ioredis-5', 'iovalkey'].map((m) => [m, async () => {
    const { Cluster } = require(m)
    const raw = new Cluster(cluster.seeds.slice(0, 2))
    raw.on('error', () => {})
    await new Promise((resolve) => raw.once('ready', resolve))
    return { raw, end: () => raw.disconnect() }
  }, {}] as [string, () => Promise<{ raw: Raw; end: () => unknown }>, object]),
  ...['redis-6', 'redis-5', 'redis-4'].map((m) => [m, async () => {
    const raw = require(m).createCluster({ rootNodes: cluster.seeds.map((socket) => ({ socket })) })
    raw.on('error', () => {})
    await raw.connect()
    return { raw, end: () => raw.disconnect() }
  }, {}] as [string, () => Promise<{ raw: Raw; end: () => unknown }>, object]),
  ['GLIDE', async () => {
    const { GlideClusterClient, Logger } = require('@valkey/valkey-glide')
    Logger.setLoggerConfig('off')
    const raw = await GlideClusterClient.createClient({ addresses: cluster.seeds.slice(0, 2), connectionBackoff: { numberOfRetries: 3, factor: 20, exponentBase: 2 } })
    return { raw, end: () => raw.close() }
  }, { silent: true, unordered: 'GLIDE sends commands that are under way at the same time in any order' }],
]

describe.each(LIBS)('%s', (_, make, traits) => {
  const harness = { isCluster: true, command, ...traits, make: async () => {
    const { raw, end } = await make()
    return { client: toRedisClient(raw), dispose: async () => void (await end()) }
  } }
  for (const one of clientConformance(harness, 'spublish')) {
    test(one.name, async (context) => {
      if (one.skip !== undefined) context.skip(one.skip)
      await one.run()
    })
  }
})
