import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { OwnedClientOptions } from '../../src/clients/owned.js'
import { type HalocksmithOptions, makeLockFunction } from '../../src/compat/halocksmith.js'
import { FakeClient } from '../support/fake-client.js'

/** Where each form of the options of 2013 leads, without a server. */

const made: OwnedClientOptions[] = []

vi.mock('../../src/clients/owned.js', () => ({
  createOwnedClient: (options: OwnedClientOptions) => {
    made.push(options)
    return new FakeClient()
  },
}))

beforeEach(() => {
  made.length = 0
})

/** What the client is made with. */
function target(options?: unknown): OwnedClientOptions {
  makeLockFunction(options as HalocksmithOptions)
  expect(made).toHaveLength(1)
  return made[0]!
}

const socketOf = (options: unknown) => target(options).options.socket

describe('the address', () => {
  test.each([undefined, null, {}, { nodes: undefined }, { timeout: 5, prefix: 'p:' }, '', { host: '127.0.0.1' }, { nodes: [{}] }])(
    'of %j is 127.0.0.1:6379',
    (options) => {
      expect(target(options)).toMatchObject({ options: { socket: { host: '127.0.0.1', port: 6379 } }, describe: '127.0.0.1:6379' })
    },
  )

  test.each([
    ['h:7000', 'h', 7000],
    ['h', 'h', 6379],
    [7000, '127.0.0.1', 7000],
    ['7000', '127.0.0.1', 7000],
    [['h:7000'], 'h', 7000],
    [[7000], '127.0.0.1', 7000],
    [[{ host: 'h', port: 7000 }], 'h', 7000],
    [{ 0: 'h:7000' }, 'h', 7000],
    [{ 5: 'h:7000', timeout: 5 }, 'h', 7000],
    [{ host: 'h', port: 7000 }, 'h', 7000],
    [{ host: 'h' }, 'h', 6379],
    [{ port: 7000 }, '127.0.0.1', 7000],
    [{ nodes: ['h:7000'] }, 'h', 7000],
    [{ nodes: 'h:7000' }, 'h', 7000],
    [{ nodes: { host: 'h', port: 7000 } }, 'h', 7000],
    [{ socket: { host: 'h', port: 7000 } }, 'h', 7000],
  ])('of %j', (options, host, port) => {
    expect(socketOf(options)).toEqual({ host, port })
  })

  test('of a URL is that of the URL', () => {
    const url = 'redis://me:secret@h:7000/2'
    for (const options of [url, [url], { url }, { nodes: [url] }, { 0: url }]) {
      made.length = 0
      expect(target(options)).toMatchObject({ options: { url }, describe: 'h:7000' })
    }
  })
})

test('everything that is not ours goes to the client, without our own options', () => {
  const tls = { ca: 'x' }
  const ours = { nodes: ['h:1'], prefix: 'p:', timeout: 5, retries: 1, retryTimeout: 1 }
  expect(target({ ...ours, socket: { tls }, username: 'me', auth_pass: 'p', db: 3, name: 'app', unheardOf: 1 }).options).toEqual({
    socket: { tls, host: 'h', port: 1 },
    username: 'me',
    password: 'p',
    database: 3,
    name: 'app',
    unheardOf: 1,
  })
})

test('with a client of the caller none is made', () => {
  const lock = makeLockFunction({ redisClient: new FakeClient(), nodes: ['h:1'] })
  expect(made).toEqual([])
  expect(typeof lock).toBe('function')
})
