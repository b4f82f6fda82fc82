import { afterEach, expect, inject, test } from 'vitest'
import { type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { deniedIn, extrasFor, isPattern, RIGHTS, recipe } from '../support/acl-recipe.js'
import { everythingIn } from '../support/libraries.js'
import { errorOf, waitersOf } from '../support/locksmiths.js'
import { useReplicaSet } from '../support/replicas.js'

/** With several nodes: the user of docs/guides/securing-redis.md, on servers that decide together, on a primary with replicas, with sentinels. */

const LOGIN = { username: 'locks', password: 'a secret of this test' }
const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function addUser(servers: readonly RedisServer[], words: readonly string[]): Promise<void> {
  const all = ['SETUSER', LOGIN.username, 'reset', 'on', `>${LOGIN.password}`, ...words]
  await Promise.all(servers.map((server) => server.command('ACL', ...all)))
  await Promise.all(servers.map((server) => server.command('ACL', 'LOG', 'RESET')))
}

async function denied(servers: readonly RedisServer[]): Promise<string[]> {
  const logs = await Promise.all(servers.map((server) => server.command('ACL', 'LOG', '128')))
  return logs.flatMap((log) => deniedIn(log, LOGIN.username))
}

function open(options: LocksmithOptions): Locksmith {
  const locksmith = createLocksmith(options)
  closing.push(() => locksmith.close())
  return locksmith
}

async function useAll(options: LocksmithOptions): Promise<void> {
  const [a, b] = [open(options), open(options)]
  const lock = await a.acquire('a')
  const waiting = b.acquire('a')
  await waitersOf(a, 'a')
  await lock.extend()
  await lock.release()
  await (await waiting).release()
  await a.query()
  await a.acquire('f')
  await b.forceRelease('f')
}

test('independent servers', { timeout: 30_000 }, async ({ skip }) => {
  const redis = inject('redisProgram')
  if (redis.path === null) return skip(redis.reason)
  const servers = await Promise.all([0, 1, 2].map(() => startRedis({ redis })))
  closing.push(() => Promise.all(servers.map((server) => server.stop())))
  await addUser(servers, [...recipe.filter(isPattern), ...RIGHTS, ...extrasFor('`nodes` that are independent')])
  await useAll({ nodes: servers.map(({ port }) => port), redis: LOGIN })
  expect(await denied(servers)).toEqual([])
})

const set = useReplicaSet({ replicas: 2, sentinels: 3 })

test('a primary and its replicas', { timeout: 30_000 }, async () => {
  const { nodes } = set.set
  await addUser(nodes, [...recipe.filter(isPattern), ...RIGHTS, ...extrasFor('`minReplicas')])
  await useAll({ nodes: set.set.addresses, redis: LOGIN, minReplicas: 1 })
  expect(await denied(nodes)).toEqual([])
})

test('sentinels', { timeout: 30_000 }, async () => {
  const { nodes, sentinels } = set.set
  await addUser(nodes, [...recipe.filter(isPattern), ...RIGHTS])
  await addUser(sentinels, ['resetchannels', '-@all', ...extrasFor('sentinels: on themselves')])
  const asked = set.set.sentinelAddresses.map((address) => {
    const [host, port] = address.split(':') as [string, string]
    return { host, port: Number(port), ...LOGIN }
  })
  await useAll({ sentinels: asked, redis: LOGIN })
  expect(await denied([...nodes, ...sentinels])).toEqual([])
})

const WRONG = { username: 'locks', password: 'n0-such-pa55' }
const withLogin = (address: string): string => `redis://${WRONG.username}:${WRONG.password}@${address}`
const asObject = (address: string) => ({ host: '127.0.0.1', port: Number(address.split(':')[1]), ...WRONG })

const WAYS: Record<string, () => LocksmithOptions> = {
  'nodes, options of the client': () => ({ nodes: set.set.addresses, redis: WRONG }),
  'nodes with passwords of their own': () => ({ nodes: set.set.addresses.map(asObject) }),
  'nodes as URLs': () => ({ nodes: set.set.addresses.map(withLogin) }),
  'the primary behind sentinels': () => ({ sentinels: set.set.sentinelAddresses, redis: WRONG }),
  'sentinels with passwords of their own': () => ({ sentinels: set.set.sentinelAddresses.map(asObject) }),
  'sentinels as URLs': () => ({ sentinels: set.set.sentinelAddresses.map(withLogin) }),
}

test.each(Object.keys(WAYS))('a password that is wrong is not shown: %s', { timeout: 20_000 }, async (way) => {
  const locksmith = open((WAYS[way] as () => LocksmithOptions)())
  const errors = [await errorOf(locksmith.acquire('a', { waitMs: 500 })), await errorOf(locksmith.query())]
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(everythingIn(error)).not.toContain(WRONG.password)
    expect(error.stack).not.toContain(WRONG.password)
  }
  expect(everythingIn(locksmith) + JSON.stringify(locksmith)).not.toContain(WRONG.password)
})
