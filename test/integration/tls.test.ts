import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { freePort } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { everythingIn, nodeRedis, type Raw } from '../support/libraries.js'
import { errorOf, waitersOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { useRedis } from '../support/redis.js'

/** Locks over TLS: on a connection of ours, and on clients of the caller's. The certificates are made by scripts/tls-fixtures.mjs. */

const fixture = (name: string): string => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url))
const read = (name: string): string => readFileSync(fixture(name), 'utf8')
const ca = read('authority.pem')
const [cert, key] = [read('client.pem'), read('client.key')]
const PASSWORD = 'a-secret-of-TLS'
const host = '127.0.0.1'

/** Each server has a plain port beside the one for TLS. */
const [port, strictPort] = [await freePort(), await freePort()]

function settings(tlsPort: number, clients: 'yes' | 'no'): string[] {
  const files = [
    '--tls-cert-file',
    fixture('server.pem'),
    '--tls-key-file',
    fixture('server.key'),
    '--tls-ca-cert-file',
    fixture('authority.pem'),
  ]
  return ['--tls-port', `${tlsPort}`, '--tls-auth-clients', clients, ...files]
}

const redis = useRedis({ args: settings(port, 'no'), password: PASSWORD })
/** It wants to know its clients by their certificates. */
useRedis({ args: settings(strictPort, 'yes') })

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function open(options: LocksmithOptions): Locksmith {
  const locksmith = createLocksmith(inMode(options))
  closing.push(() => locksmith.close())
  return locksmith
}

/** Takes, waits, is woken, and leaves nothing. */
async function expectLocks(a: Locksmith, b: Locksmith): Promise<void> {
  const lock = await a.acquire('a')
  const waiting = b.acquire('a')
  await waitersOf(a, 'a')
  await lock.release()
  await (await waiting).release()
}

const OURS: Record<string, LocksmithOptions> = {
  'rediss:// with a password': { url: `rediss://:${PASSWORD}@${host}:${port}`, redis: { socket: { ca } } },
  'rediss:// to a host by name': { url: `rediss://localhost:${port}`, redis: { socket: { ca }, password: PASSWORD } },
  'rediss:// as a node': { nodes: [`rediss://:${PASSWORD}@${host}:${port}`], redis: { socket: { ca } } },
  'an address, and tls': { nodes: [`${host}:${port}`], redis: { socket: { tls: true, ca }, password: PASSWORD } },
  'tls in the node': { nodes: [{ host, port, socket: { tls: true, ca }, password: PASSWORD }] },
  RESP2: { nodes: [port], redis: { RESP: 2, socket: { tls: true, ca }, password: PASSWORD } },
  'a certificate of the client': { nodes: [strictPort], redis: { socket: { tls: true, ca, cert, key } } },
}

test.each(Object.entries(OURS))('our own connection: %s', async (_, options) => {
  await expectLocks(open(options), open(options))
})

const THEIRS: Record<string, () => Promise<[Raw, () => unknown]>> = {
  'ioredis 6': () => ioredis('ioredis-6'),
  'ioredis 5': () => ioredis('ioredis-5'),
  iovalkey: () => ioredis('iovalkey'),
  'redis 6': () => redisClient('redis-6'),
  'redis 5': () => redisClient('redis-5'),
  'redis 4': () => redisClient('redis-4'),
  'redis 3': async () => {
    const client = createRequire(import.meta.url)('redis-3').createClient({ port, host, password: PASSWORD, tls: { ca } })
    return [client, () => client.end(false)]
  },
}

async function ioredis(module: string): Promise<[Raw, () => unknown]> {
  const { Redis } = createRequire(import.meta.url)(module)
  const client = new Redis({ port, host, password: PASSWORD, tls: { ca } })
  return [client, () => client.disconnect()]
}

async function redisClient(module: string): Promise<[Raw, () => unknown]> {
  const client = await nodeRedis(module, { socket: { port, host, tls: true, ca }, password: PASSWORD })
  return [client, () => client.disconnect()]
}

test.each(Object.keys(THEIRS))('a client of the caller’s: %s', async (library) => {
  const [client, end] = await (THEIRS[library] as NonNullable<(typeof THEIRS)[string]>)()
  closing.push(end)
  await expectLocks(open({ client }), open({ client }))
})

describe('what is not trusted is told, with Node’s reason', () => {
  const SCENES: Record<string, [LocksmithOptions, RegExp]> = {
    'a certificate of another authority': [
      { nodes: [port], redis: { socket: { tls: true, ca: read('stranger.pem') }, password: PASSWORD } },
      /certificate/,
    ],
    'no authority that it knows': [{ url: `rediss://:${PASSWORD}@${host}:${port}` }, /certificate/],
    'a certificate for another host': [
      { nodes: [port], redis: { socket: { tls: true, ca, servername: 'redis.example.com' }, password: PASSWORD } },
      /altnames|does not match/,
    ],
    'no certificate of the client': [{ nodes: [strictPort], redis: { socket: { tls: true, ca } } }, /./],
    'no TLS at the port for it': [{ nodes: [port], redis: { password: PASSWORD } }, /./],
  }

  test.each(Object.entries(SCENES))('%s', async (_, [options, reason]) => {
    const error = await errorOf(open(options).acquire('a', { waitMs: 300 }))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: 'a', message: expect.stringMatching(reason) })
    expect(error.message).toContain(`${host}:`)
    expect(error.cause).toBeInstanceOf(Error)
    expect(everythingIn(error)).not.toContain(PASSWORD)
  })

  test('TLS at a port that has none: the attempt ends', async () => {
    const socket = { tls: true, ca, connectTimeout: 300 }
    const error = await errorOf(open({ nodes: [redis.port], redis: { socket, password: PASSWORD } }).acquire('a', { waitMs: 200 }))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  })
})
