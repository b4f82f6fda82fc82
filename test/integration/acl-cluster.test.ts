import { createRequire } from 'node:module'
import { afterEach, describe, expect, test } from 'vitest'
import { createOwnedClusterClient } from '../../src/clients/owned-cluster.js'
import { createLocksmith, type Locksmith } from '../../src/index.js'
import { deniedIn, extrasFor, isPattern, RIGHTS, recipe } from '../support/acl-recipe.js'
import { useCluster } from '../support/cluster.js'
import { errorOf, waitersOf } from '../support/locksmiths.js'

/** On a Cluster: the user of docs/guides/securing-redis.md, and grants that replicas confirm. */

const require = createRequire(import.meta.url)
const cluster = useCluster()
const closing: (() => unknown)[] = []
const LOGIN = { username: 'locks', password: 'a secret of this test' }

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** On every node: users are not copied. */
async function addUser(rights: readonly string[]): Promise<void> {
  const words = ['SETUSER', LOGIN.username, 'reset', 'on', `>${LOGIN.password}`, ...recipe.filter(isPattern), ...rights]
  await Promise.all(cluster.servers.nodes.map((node) => node.command('ACL', ...words)))
}

async function denied(): Promise<string[]> {
  const logs = await Promise.all(cluster.servers.nodes.map((node) => node.command('ACL', 'LOG', '128')))
  return logs.flatMap((log) => deniedIn(log, LOGIN.username))
}

const CLIENTS: Record<string, () => Promise<unknown>> = {
  'our own connections': async () => createOwnedClusterClient({ seeds: cluster.seeds, options: LOGIN, describe: 'the cluster' }),
  'redis 6': async () => {
    const rootNodes = cluster.seeds.map((socket) => ({ socket }))
    const raw = require('redis-6').createCluster({ rootNodes, defaults: LOGIN })
    raw.on('error', () => {})
    await raw.connect()
    closing.push(() => raw.destroy())
    return raw
  },
}

async function open(library: string, options: object = {}): Promise<Locksmith> {
  const locksmith = createLocksmith({ client: await CLIENTS[library]?.(), ...options })
  closing.push(() => locksmith.close())
  return locksmith
}

/** Takes a name, has another locksmith wait for it, and gives up where that does not go on. */
async function waitOnce(a: Locksmith, b: Locksmith, name: string): Promise<void> {
  const semaphore = (locksmith: Locksmith) => locksmith.semaphore(name, 3, { waitMs: 1_000 })
  const lock = await semaphore(a).acquire({ permits: 2 })
  const waiting = [semaphore(b).acquire({ permits: 2 }), semaphore(a).acquire({ permits: 3 })]
  for (const one of waiting) one.catch(() => {})
  await waitersOf(a, name, 2)
  await lock.release()
  for (const one of waiting) await (await one).release()
}

test('each right of the guide is needed', { timeout: 40_000 }, async () => {
  const extras = extrasFor('Cluster')
  const missed: string[] = []
  for (const extra of extras) {
    await addUser([...RIGHTS, ...extras.filter((one) => one !== extra)])
    await Promise.all(cluster.servers.nodes.map((node) => node.command('ACL', 'LOG', 'RESET')))
    const [a, b] = [await open('our own connections'), await open('our own connections')]
    await waitOnce(a, b, extra).catch(() => {})
    await Promise.all([a.close(), b.close()])
    if ((await denied()).includes(extra.slice(1))) missed.push(extra)
  }
  // Nothing asks for it but a command that is sent to a slot on its way.
  expect([...missed, '+asking'].sort()).toEqual(extras.sort())
})

describe.each(Object.keys(CLIENTS))('%s', (library) => {
  test('works with the rights of the guide, and is refused nothing', { timeout: 40_000 }, async () => {
    await addUser([...RIGHTS, ...extrasFor('Cluster'), ...extrasFor('`minReplicas')])
    await Promise.all(cluster.servers.nodes.map((node) => node.command('ACL', 'LOG', 'RESET')))
    const [a, b] = [await open(library), await open(library)]
    for (const name of await cluster.namesApart()) {
      const lock = await a.acquire(name)
      const waiting = b.acquire(name)
      await waitersOf(a, name)
      await lock.extend()
      await lock.release()
      await (await waiting).release()
      const semaphore = await a.semaphore(`${name}s`, 3).acquire({ permits: 2 })
      const second = b.semaphore(`${name}s`, 3).acquire({ permits: 2 })
      await waitersOf(a, `${name}s`)
      const third = a.semaphore(`${name}s`, 3).acquire({ permits: 3 })
      await waitersOf(a, `${name}s`, 2)
      await semaphore.release()
      for (const next of [second, third]) await (await next).release()
      await a.acquire(`${name}f`)
      await b.forceRelease(`${name}f`)
      await (await a.acquire(name, { minReplicas: 1 })).release()
    }
    await a.query()
    expect(await denied()).toEqual([])
  })

  test('grants count when a replica of the name’s primary has them', { timeout: 40_000 }, async () => {
    await addUser(['+@all'])
    const locksmith = await open(library, { minReplicas: 1, ttlMs: 3_000 })
    const names = await cluster.namesApart()
    const locks = await Promise.all(names.map((name) => locksmith.acquire(name)))
    for (const lock of locks) {
      await lock.extend()
      await lock.release()
    }
    for (const node of cluster.servers.nodes) {
      const [role] = await node.command('ROLE')
      if (role === 'slave') await node.pause()
    }
    const errors = await Promise.all(names.map((name) => errorOf(locksmith.acquire(name))))
    for (const error of errors) expect(error.message).toContain('only 0 of the 1 replicas')
  })
})
