import { expect, test } from 'vitest'
import { testClients } from '../support/client-cases.js'
import { SENTINEL_LIBRARIES } from '../support/libraries.js'
import { useReplicaSet } from '../support/replicas.js'
import { until } from '../support/until.js'

/** The port's contract on every library that follows sentinels, and that it does follow them. */

const replicas = useReplicaSet({ replicas: 1, sentinels: 3 })

testClients(SENTINEL_LIBRARIES, { where: () => replicas.set, command })

/** The sentinels' own connections are left alone: without them they would fail over. */
async function command(...args: string[]): Promise<unknown> {
  const primary = await replicas.set.primary()
  const [name, kind, , type] = args
  if (name !== 'CLIENT' || kind !== 'KILL') return primary.command(...args)
  const list = String(await primary.command('CLIENT', 'LIST', 'TYPE', type ?? ''))
  const clients = [...list.matchAll(/^id=(\d+) .*? name=(\S*)/gm)].filter(([, , called]) => !called?.startsWith('sentinel-'))
  return Promise.all(clients.map(([, id]) => primary.command('CLIENT', 'KILL', 'ID', id ?? '', 'SKIPME', 'yes')))
}

test('commands and messages of all of them move to another primary', async () => {
  const made = await Promise.all(
    SENTINEL_LIBRARIES.map(async ({ name, connect }) => ({ name, ...(await connect(replicas.set)), heard: [] as string[] })),
  )
  try {
    for (const { client, heard } of made) {
      await until(() => client.isUp)
      // So that held locks are in doubt at once when the connection is lost.
      expect(client.follows).toBe(true)
      await client.subscribe('c', { message: (text) => heard.push(text), restored: () => heard.push('restored') })
    }
    const primary = await replicas.set.failover()
    const follows = async ({ name, client, heard }: (typeof made)[number]) => {
      const what = `${name} follows`
      await until(
        () =>
          client.command(['SET', name, 'x']).then(
            async () => (await primary.command('GET', name)) === 'x',
            () => false,
          ),
        { what, timeoutMs: 10_000 },
      )
      await until(() => heard.includes('restored'), { what })
    }
    await Promise.all(made.map(follows))
    expect(await primary.command('PUBLISH', 'c', 'moved')).toBe(made.length)
    await until(() => made.every(({ heard }) => heard.includes('moved')))
  } finally {
    for (const { client, dispose } of made) {
      await client.close()
      await dispose()
    }
  }
})
