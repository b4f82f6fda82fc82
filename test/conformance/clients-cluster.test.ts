import { expect, test } from 'vitest'
import type { ClientUnderTest } from '../../src/testing/client-conformance.js'
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
  // To nobody it is not sent, and to others where they are: it would reach another node late, when somebody else hears there.
  await all[counts.findIndex((count) => count > 0)]?.command(...args)
  return counts.reduce((sum, one) => sum + one, 0)
}

interface Connected extends ClientUnderTest {
  readonly name: string
  readonly heard: string[]
}

/** Plays with a client of every library at once, each of which hears on a channel of both kinds. */
async function withAll(key: string, play: (made: readonly Connected[]) => Promise<void>): Promise<void> {
  const connected = CLUSTER_LIBRARIES.map(async ({ name, connect }) => ({ name, ...(await connect(cluster.seeds)), heard: [] as string[] }))
  const made = await Promise.all(connected)
  try {
    for (const { client, heard } of made) {
      await until(() => client.isUp)
      const listener = { message: (text: string) => void heard.push(text), restored: () => void heard.push('restored') }
      await client.subscribe('plain', listener)
      await client.subscribeSharded?.(`${key}sharded`, listener)
    }
    await play(made)
  } finally {
    for (const { client, dispose } of made) {
      await client.close()
      await dispose()
    }
  }
}

/** Each of them writes, and hears what the node says that has the key now. */
async function expectAllThere(key: string, made: readonly Connected[]): Promise<void> {
  const follows = async ({ name, client, heard }: Connected) => {
    const set = () => client.command(['SET', key, 'x'], key).then(Boolean, () => false)
    await until(set, { what: `${name} writes`, timeoutMs: 15_000 })
    await until(() => heard.includes('restored'), { what: `${name} hears again`, timeoutMs: 10_000 })
  }
  await Promise.all(made.map(follows))
  const owner = cluster.on(await cluster.servers.ownerOf(key))
  await until(async () => (await owner.command('PUBSUB', 'SHARDNUMSUB', `${key}sharded`))[1] === made.length)
  await owner.command('SPUBLISH', `${key}sharded`, 'sharded')
  await owner.command('PUBLISH', 'plain', 'plain')
  await until(() => made.every(({ heard }) => heard.includes('sharded') && heard.includes('plain')))
  expect(made.map(({ client }) => client.isUp)).not.toContain(false)
}

test('commands and messages of all of them outlive a primary', async () => {
  const key = '{k}'
  await withAll(key, async (made) => {
    await (await cluster.servers.ownerOf(key)).kill()
    await expectAllThere(key, made)
  })
}, 40_000)

test('commands and messages of all of them follow a slot that moves', async () => {
  const key = '{k}'
  await withAll(key, async (made) => {
    const owner = await cluster.servers.ownerOf(key)
    const other = (await cluster.servers.primaries()).find((node) => node !== owner)
    if (other) await cluster.servers.migrateSlot(key, other)
    await expectAllThere(key, made)
  })
}, 40_000)
