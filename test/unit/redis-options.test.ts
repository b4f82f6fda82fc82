import { describe, expect, test } from 'vitest'
import { LockOptionError } from '../../src/errors.js'
import { hostAndPort, targetAt, targetOfNode, targetOfUrl, targetsOfNodes, withoutAddress } from '../../src/redis-options.js'

const address = (node: unknown, redis = {}) => {
  const { options, describe: text } = targetOfNode(node as never, redis)
  const { host, port } = options.socket as { host: string; port: number }
  return { host, port, text }
}

function refusal(call: () => unknown): LockOptionError {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(LockOptionError)
    return error as LockOptionError
  }
  throw new Error('nothing was thrown')
}

describe('an address', () => {
  test.each([
    ['redis.example:7000', 'redis.example', 7000, 'redis.example:7000'],
    ['redis.example', 'redis.example', 6379, 'redis.example:6379'],
    ['10.0.0.1:7000', '10.0.0.1', 7000, '10.0.0.1:7000'],
    ['7000', '127.0.0.1', 7000, '127.0.0.1:7000'],
    [':7000', '127.0.0.1', 7000, '127.0.0.1:7000'],
    [7000, '127.0.0.1', 7000, '127.0.0.1:7000'],
    ['::1', '::1', 6379, '[::1]:6379'],
    ['[::1]', '::1', 6379, '[::1]:6379'],
    ['[fe80::1]:7000', 'fe80::1', 7000, '[fe80::1]:7000'],
    [{}, '127.0.0.1', 6379, '127.0.0.1:6379'],
    [{ host: 'redis.example' }, 'redis.example', 6379, 'redis.example:6379'],
    [{ port: 7000 }, '127.0.0.1', 7000, '127.0.0.1:7000'],
    [{ host: '::1', port: '7000' }, '::1', 7000, '[::1]:7000'],
    [{ host: null, port: null }, '127.0.0.1', 6379, '127.0.0.1:6379'],
  ])('%j', (node, host, port, text) => {
    expect(address(node)).toEqual({ host, port, text })
  })

  test.each([
    [0, 'port'],
    [65_536, 'port'],
    [-1, 'port'],
    [1.5, 'port'],
    [Number.NaN, 'port'],
    ['host:0', 'port'],
    ['host:99999', 'port'],
    ['99999', 'port'],
    ['a b', 'node'],
    ['host:port', 'node'],
    ['http://x', 'node'],
    ['[::1', 'node'],
    ['me@host', 'node'],
    ['me@host:7000', 'node'],
    ['a:1:2x', 'node'],
    [null, 'node'],
    [true, 'node'],
    [['x'], 'node'],
    [{ host: 5 }, 'node.host'],
    [{ host: '' }, 'node.host'],
    [{ port: 'x' }, 'port'],
    [{ port: 0 }, 'port'],
    [{ db: 1.5 }, 'db'],
    [{ db: -1 }, 'db'],
  ])('%j is refused because of %s', (node, option) => {
    expect(refusal(() => targetOfNode(node as never)).option).toBe(option)
  })

  test.each(['me:secret@host:6379', ':secret@host:6379', 'secret@host', 'redis//me:secret@host'])(
    'a refused one shows no password: %s',
    (node) => {
      expect(refusal(() => targetOfNode(node)).message).not.toContain('secret')
    },
  )
})

describe('a URL', () => {
  test.each([
    ['redis://redis.example', 'redis.example:6379'],
    ['redis://redis.example:7000/2', 'redis.example:7000'],
    ['rediss://me:secret@redis.example:7000', 'redis.example:7000'],
    ['redis://[::1]:7000', '[::1]:7000'],
  ])('%s goes to the client as it is, and is shown as %s', (url, text) => {
    expect(targetOfUrl(url)).toEqual({ options: { url }, describe: text })
    expect(targetOfNode(url)).toEqual({ options: { url }, describe: text })
  })

  test('takes other options along', () => {
    expect(targetOfUrl('redis://h', { auth_pass: 'p', socket: { keepAlive: 1 } }).options).toEqual({
      url: 'redis://h',
      password: 'p',
      socket: { keepAlive: 1 },
    })
  })

  test.each(['http://me:secret@host', 'redis:/', 'redis://me:secret@[host', 'host:secret', 5, null, {}])(
    'is refused without being shown: %j',
    (url) => {
      const error = refusal(() => targetOfUrl(url))
      expect(error.option).toBe('url')
      expect(error.message).not.toContain('secret')
    },
  )
})

describe('options for the client', () => {
  test('pass through, those of the node before those of all', () => {
    const { options } = targetOfNode({ host: 'h', port: 1, username: 'me', RESP: 2 }, { username: 'you', name: 'app' })
    expect(options).toEqual({ username: 'me', RESP: 2, name: 'app', socket: { host: 'h', port: 1 } })
  })

  test.each([
    [{ auth_pass: 'p' }, { password: 'p' }],
    [{ password: 'p', auth_pass: 'q' }, { password: 'p' }],
    [{ password: 5 }, { password: '5' }],
    [{ password: null }, {}],
    [{ db: 3 }, { database: 3 }],
    [{ database: 4, db: 3 }, { database: 4 }],
    [{ database: 0 }, { database: 0 }],
  ])('%j has the names of today: %j', (given, expected) => {
    const { socket: _, ...options } = targetOfNode({}, given).options
    expect(options).toEqual(expected)
  })

  test('socket options stay beside the address', () => {
    const { options } = targetOfNode({ host: 'h', port: 1 }, { socket: { tls: true, connectTimeout: 5 } })
    expect(options.socket).toEqual({ tls: true, connectTimeout: 5, host: 'h', port: 1 })
  })

  test('an address in the socket options is the address, where no node names one', () => {
    expect(address({}, { socket: { host: 'redis.example', port: 7000 } })).toEqual({
      host: 'redis.example',
      port: 7000,
      text: 'redis.example:7000',
    })
    expect(address({ socket: { host: 'redis.example' } })).toMatchObject({ host: 'redis.example', port: 6379 })
    expect(address('h:1', { socket: { host: 'redis.example', port: 7000 } })).toMatchObject({ host: 'h', port: 1 })
  })

  test('a URL among them is the address, where no node names one', () => {
    const url = 'redis://me:secret@redis.example:7000'
    expect(targetOfNode({}, { url })).toEqual({ options: { url }, describe: 'redis.example:7000' })
    expect(targetOfNode({ url, database: 2 })).toEqual({ options: { url, database: 2 }, describe: 'redis.example:7000' })
  })

  test.each([{ host: 'h' }, { port: 1 }, 'h:1', 1])('a URL beside the node %j is refused, without being shown', (node) => {
    const error = refusal(() => targetOfNode(node, { url: 'redis://me:secret@host' }))
    expect(error.option).toBe('url')
    expect(error.message).not.toContain('secret')
  })

  test('a path is what an error shows', () => {
    expect(targetOfNode({}, { socket: { path: '/run/redis.sock' } }).describe).toBe('/run/redis.sock')
  })

  test.each([
    [{ socket: 5 }, 'socket'],
    [{ socket: { host: 5 } }, 'node.host'],
    [{ socket: { port: 'x' } }, 'port'],
  ])('%j is refused because of %s', (redis, option) => {
    expect(refusal(() => targetOfNode({}, redis)).option).toBe(option)
  })

  test('are not changed', () => {
    const redis = Object.freeze({ auth_pass: 'p', socket: Object.freeze({ keepAlive: 1 }) })
    const node = Object.freeze({ host: 'h', db: 1 })
    targetOfNode(node, redis)
    expect(redis).toEqual({ auth_pass: 'p', socket: { keepAlive: 1 } })
    expect(node).toEqual({ host: 'h', db: 1 })
  })
})

describe('another server that is connected to in the same way', () => {
  test.each([
    [
      { host: 'h', port: 1, password: 'p', socket: { tls: true } },
      { password: 'p', socket: { tls: true } },
    ],
    ['redis://me:p%40q@h:1/2', { username: 'me', password: 'p@q', socket: {} }],
    ['rediss://h', { socket: { tls: true } }],
    [{ socket: { path: '/run/redis.sock' } }, { socket: {} }],
  ])('as %j', (node, options) => {
    const target = targetOfNode(node)
    expect(withoutAddress(target)).toEqual(options)
    expect(targetAt(target, '::1', 7000)).toEqual({
      options: { ...options, socket: { ...options.socket, host: '::1', port: 7000 } },
      describe: '[::1]:7000',
    })
  })

  test.each([
    ['h:1', { host: 'h', port: 1 }],
    ['[::1]:7000', { host: '::1', port: 7000 }],
    ['/run/redis.sock', undefined],
  ])('%s in parts', (describe, parts) => {
    expect(hostAndPort(describe)).toEqual(parts)
  })
})

describe('a list of nodes', () => {
  test('each has its own options and those of all', () => {
    const targets = targetsOfNodes(['h:1', { host: 'h', port: 2, password: 'p' }], 'nodes', { username: 'me' })
    expect(targets.map(({ describe }) => describe)).toEqual(['h:1', 'h:2'])
    expect(targets.map(({ options }) => [options.username, options.password])).toEqual([
      ['me', undefined],
      ['me', 'p'],
    ])
  })

  test.each([
    ['h:1', 'must be an array'],
    [[], 'at least one node'],
    [['h:1', 'h:2', { host: 'h', port: 1, password: 'secret' }], 'has h:1 twice'],
  ])('%j is refused', (nodes, reason) => {
    const { message, option } = refusal(() => targetsOfNodes(nodes, 'nodes'))
    expect(option).toBe('nodes')
    expect(message).toContain(reason)
    expect(message).not.toContain('secret')
  })
})
