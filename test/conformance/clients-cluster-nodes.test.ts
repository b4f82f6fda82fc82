import { describe, expect, test } from 'vitest'
import type { ClientError } from '../../src/clients/client.js'
import { slotOf } from '../../src/clients/cluster-map.js'
import { useCluster } from '../support/cluster.js'
import { CLUSTER_LIBRARIES } from '../support/cluster-clients.js'
import { until } from '../support/until.js'

/** What a Cluster asks of a port beyond the contract of all: keys, primaries, and channels that follow their slots. */

const cluster = useCluster()

describe.each(CLUSTER_LIBRARIES)('$name', (library) => {
  const opened = async () => {
    const made = await library.connect(cluster.seeds)
    await until(() => made.client.isUp, { what: 'the client is up' })
    return made
  }

  test('a command goes to the node that has its key', async () => {
    const { client, dispose } = await opened()
    const keys = Array.from({ length: 50 }, (_, i) => `key${i}`)
    const { calls } = await cluster.countCommands(() => Promise.all(keys.map((key) => client.command(['SET', key, 'x'], key))))
    expect(calls.set).toBe(50)
    await client.close()
    await dispose()
  })

  test('its primaries take commands for all keys', async () => {
    const { client, dispose } = await opened()
    for (let i = 0; i < 50; i++) await client.command(['SET', `key${i}`, 'x'], `key${i}`)
    const primaries = (await client.primaries?.()) ?? []
    const sizes = await Promise.all(primaries.map((send) => send(['DBSIZE'])))
    expect(sizes).toHaveLength(3)
    expect(sizes.map(Number).reduce((sum, size) => sum + size)).toBe(50)
    await client.close()
    await dispose()
  })

  test('a sharded channel is heard on the node that has it, wherever that is, until it ends', async () => {
    const { client, dispose } = await opened()
    const heard: string[] = []
    const channel = 'channel{moves}'
    const listener = { message: (payload: string) => void heard.push(payload), restored: () => void heard.push('restored') }
    const end = await client.subscribeSharded?.(channel, listener)
    expect(await client.command(['SPUBLISH', channel, '1'], channel)).toBe(1)
    await until(() => heard.length === 1)
    const from = await cluster.servers.ownerOf('{moves}')
    const to = (await cluster.servers.primaries()).find((node) => node !== from) as typeof from
    await cluster.servers.migrateSlot('{moves}', to)
    // Whoever sends there learns of the new owner.
    await client.command(['GET', '{moves}'], '{moves}')
    await until(() => heard.includes('restored'), { what: 'it followed' })
    expect(await cluster.on(to).command('SPUBLISH', channel, '2')).toBe(1)
    await until(() => heard.includes('2'))
    expect(heard).toEqual(['1', 'restored', '2'])
    await end?.()
    expect(await cluster.on(to).command('SPUBLISH', channel, '3')).toBe(0)
    await client.close()
    await dispose()
  })

  test('after close() there are no primaries to send to', async () => {
    const { client, dispose } = await opened()
    await client.close()
    const error = await client.subscribeSharded?.('c', { message: () => {}, restored: () => {} }).catch((reason: ClientError) => reason)
    expect(error).toMatchObject({ code: 'CLOSED' })
    await dispose()
  })
})

test('slots are counted as the server counts them', async () => {
  const keys = ['', 'key', '{tag}rest', 'a{}b{c}', 'a{b', 'a}b{c}d{e}', '{}', 'ünï{cödé}🔒', '123456789']
  const [redis] = await cluster.primaries()
  for (const key of keys) expect([key, slotOf(key)]).toEqual([key, await redis?.command('CLUSTER', 'KEYSLOT', key)])
})
