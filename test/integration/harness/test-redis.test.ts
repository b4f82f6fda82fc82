import { describe, expect, test } from 'vitest'
import { type TestRedis, useRedis } from '../../support/redis.js'

const redis = useRedis()

describe('between tests', () => {
  test.each(['first', 'second'])('the server is empty at the beginning of the %s', async (name) => {
    expect(await redis.keys()).toEqual([])
    await redis.command('SET', name, '1')
    expect(await redis.keys('*s*')).toEqual([name])
  })

  test('connections of the test before are closed', async () => {
    expect(await redis.clientList()).toEqual([])
    await redis.connect()
    expect(await redis.clientList()).toHaveLength(1)
  })
})

describe('counting commands', () => {
  test('counts those of others, and what scripts call, but not those of the harness', async () => {
    const client = await redis.connect()
    const { result, calls, total } = await redis.countCommands(async () => {
      await redis.command('SET', 'own', '1')
      await redis.clientList()
      await redis.keys()
      await client.command('CLIENT', 'SETNAME', 'x')
      await client.command('EVAL', `return redis.call('SET', 'a', '1')`, 0)
      await client.command('SET', 'b', '1')
      return 'done'
    })
    expect(result).toBe('done')
    expect(calls).toEqual({ 'client|setname': 1, eval: 1, set: 2 })
    expect(total).toBe(4)
  })

  test('nothing is nothing', async () => {
    expect(await redis.countCommands(() => {})).toEqual({ result: undefined, calls: {}, total: 0 })
  })
})

describe('connections', () => {
  test('are seen with what they listen to, and killed by choice', async () => {
    const [listener, other] = [await redis.connect(), await redis.connect()]
    await listener.subscribe('c', () => {})
    await other.command('CLIENT', 'SETNAME', 'other')
    expect((await redis.clientList()).map(({ name, sub }) => [name, sub])).toEqual([
      ['', 1],
      ['other', 0],
    ])
    expect(await redis.killClients(({ sub }) => sub > 0)).toBe(1)
    await listener.closed
    expect(await other.command('PING')).toBe('PONG')
    expect(await redis.killClients()).toBe(1)
    expect(await redis.clientList()).toEqual([])
  })

  test('the harness goes on after a restart', async () => {
    await redis.server.restart()
    expect(await redis.command('PING')).toBe('PONG')
    await redis.server.kill()
    await expect(redis.command('PING')).rejects.toThrow()
    await redis.server.start()
    expect(await redis.command('PING')).toBe('PONG')
  })
})

describe('what may be left in Redis', () => {
  const HOUR_MS = 3_600_000
  const token = async (key: string, ttlMs = HOUR_MS) => {
    await redis.command('HSET', key, 'token', '1769000000000001')
    if (ttlMs > 0) await redis.command('PEXPIRE', key, ttlMs)
  }

  test('last tokens, and keys of others', async () => {
    await token('__halocksmith:{a}')
    await token('__halocksmith:{}')
    await redis.command('SET', 'other', '1')
    await redis.expectOnlyTokens()
    await expect(redis.expectEmpty('', /^__halocksmith:/, 0)).rejects.toThrow(/left in Redis: {"key":"other","type":"string"/)
    await redis.expectEmpty('', /^(__halocksmith:|other)/)
  })

  test.each<[string, (redis: TestRedis) => Promise<unknown>]>([
    ['a token for ever', () => token('__halocksmith:{a}', 0)],
    ['a token for two hours', () => token('__halocksmith:{a}', 2 * HOUR_MS)],
    [
      'a holder',
      (r) => r.command('HSET', '__halocksmith:{a}', 'token', '1', 'holder', '2').then(() => r.command('EXPIRE', '__halocksmith:{a}', 9)),
    ],
    ['a queue', (r) => r.command('ZADD', '__halocksmith:{a}:queue', 1, 'w').then(() => r.command('EXPIRE', '__halocksmith:{a}:queue', 9))],
    [
      'waiters',
      (r) => r.command('HSET', '__halocksmith:{a}:waiters', 'w', '1').then(() => r.command('EXPIRE', '__halocksmith:{a}:waiters', 9)),
    ],
  ])('but not %s', async (_, leave) => {
    await leave(redis)
    await expect(redis.expectOnlyTokens('__halocksmith:', 0)).rejects.toThrow(
      /nothing left in Redis; at last: left in Redis: {"key":"__halo/,
    )
  })

  test('what goes away in time is waited for', async () => {
    await redis.command('SET', '__halocksmith:{a}:queue', '1', 'PX', 30)
    await redis.expectOnlyTokens()
  })
})
