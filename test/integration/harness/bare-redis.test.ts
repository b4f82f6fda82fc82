import { describe, expect, test } from 'vitest'
import { BareRedis } from '../../../scripts/bare-redis.mjs'
import { freePort } from '../../../scripts/redis-server.mjs'
import { startProxy } from '../../support/proxy.js'
import { useRedis } from '../../support/redis.js'
import { until } from '../../support/until.js'

const redis = useRedis()

describe('commands', () => {
  test('replies come in the order of the commands', async () => {
    const client = await redis.connect()
    const replies = await Promise.all(Array.from({ length: 25_000 }, (_, i) => client.command('ECHO', i)))
    expect(replies).toEqual(Array.from({ length: 25_000 }, (_, i) => `${i}`))
  })

  test('an error rejects its command and no other', async () => {
    const client = await redis.connect()
    const outcomes = await Promise.allSettled([
      client.command('SET', 'a', '1'),
      client.command('HGET', 'a', 'b'),
      client.command('GET', 'a'),
    ])
    expect(outcomes).toMatchObject([{ value: 'OK' }, { reason: { code: 'WRONGTYPE' } }, { value: '1' }])
  })

  test('an error inside a list is a value there', async () => {
    const client = await redis.connect()
    await Promise.all([client.command('MULTI'), client.command('SET', 'a', '1'), client.command('HGET', 'a', 'b')])
    expect(await client.command('EXEC')).toEqual(['OK', expect.objectContaining({ code: 'WRONGTYPE' })])
  })

  test('bytes and large values arrive as they were sent', async () => {
    const client = await redis.connect()
    await Promise.all([
      client.command('SET', 'bytes', Buffer.from([0, 13, 10, 255])),
      client.command('SET', 'large', 'x'.repeat(3_000_000)),
    ])
    expect(await client.command('STRLEN', 'bytes')).toBe(4)
    expect(await client.command('GET', 'large')).toHaveLength(3_000_000)
  })

  test('a tick is one write', async () => {
    const client = await redis.connect()
    const reads = async () => Number(/total_reads_processed:(\d+)/.exec(await redis.command('INFO', 'stats'))?.[1])
    const before = await reads()
    await Promise.all(Array.from({ length: 100 }, () => client.command('PING')))
    // One of the client, one of each INFO.
    expect((await reads()) - before).toBeLessThanOrEqual(3)
  })
})

describe('messages', () => {
  test.each([2, 3])('are heard in version %i of the protocol, until unsubscribed', async (version) => {
    const client = await redis.connect()
    await client.command('HELLO', version)
    const heard: string[][] = []
    await client.subscribe('news', (...message) => heard.push(message))
    await client.subscribe('n*', (...message) => heard.push(message), 'PSUBSCRIBE')
    expect(await redis.command('PUBLISH', 'news', 'one')).toBe(2)
    await until(() => heard.length === 2)
    expect(heard).toEqual([
      ['one', 'news'],
      ['one', 'news'],
    ])
    await client.unsubscribe('news')
    await client.unsubscribe('n*', 'PUNSUBSCRIBE')
    expect(await redis.command('PUBLISH', 'news', 'two')).toBe(0)
    expect(await client.command('PING')).toBe('PONG')
  })

  test('commands and messages do not mix on one connection', async () => {
    const client = await redis.connect()
    await client.command('HELLO', 3)
    const heard: string[] = []
    await client.subscribe('mine', (payload) => heard.push(payload))
    const script = `redis.call('PUBLISH', 'mine', ARGV[1]) return ARGV[1]`
    const replies = await Promise.all(Array.from({ length: 100 }, (_, i) => client.command('EVAL', script, 0, i)))
    const numbers = Array.from({ length: 100 }, (_, i) => `${i}`)
    expect([replies, heard]).toEqual([numbers, numbers])
  })
})

describe('the end of a connection', () => {
  test('commands without a reply reject, later ones at once', async () => {
    const client = await redis.connect()
    const proxy = await startProxy(redis)
    const behind = await BareRedis.connect({ port: proxy.port })
    proxy.holdReplies()
    const pending = [behind.command('PING'), behind.command('PING')]
    await until(() => proxy.commands.PING === 2)
    proxy.cut()
    for (const command of pending) await expect(command).rejects.toThrow(/ECONNRESET|closed/)
    await expect(behind.command('PING')).rejects.toThrow(/ECONNRESET|closed/)
    expect((await behind.closed).message).toMatch(/ECONNRESET|closed/)
    expect(await client.command('PING')).toBe('PONG')
  })

  test('close is told as such', async () => {
    const client = await redis.connect()
    const pending = client.command('BLPOP', 'nothing', 0)
    client.close()
    await expect(pending).rejects.toThrow('this client was closed')
    await expect(client.closed).resolves.toMatchObject({ message: 'this client was closed' })
  })

  test('a server that is not there rejects the connection', async () => {
    await expect(BareRedis.connect({ port: await freePort() })).rejects.toThrow(/ECONNREFUSED/)
  })
})
