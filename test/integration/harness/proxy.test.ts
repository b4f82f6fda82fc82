import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { BareRedis } from '../../../scripts/bare-redis.mjs'
import { encodeCommand, type Reply, RespParser } from '../../../scripts/resp.mjs'
import { type RedisProxy, startProxy } from '../../support/proxy.js'
import { useRedis } from '../../support/redis.js'
import { until } from '../../support/until.js'

const redis = useRedis()
const VERSIONS = [2, 3]

async function connectTo(proxy: RedisProxy, version = 2): Promise<BareRedis> {
  const client = await BareRedis.connect({ port: proxy.port })
  onTestFinished(() => client.close())
  if (version === 3) await client.command('HELLO', 3)
  return client
}

const startBoth = async (version?: number) => {
  const proxy = await startProxy(redis)
  return { proxy, client: await connectTo(proxy, version) }
}

/** For commands that have more than one answer. */
async function rawClient(proxy: RedisProxy) {
  const socket = connect(proxy.port, proxy.host)
  onTestFinished(() => void socket.destroy())
  const frames: Reply[] = []
  const parser = new RespParser()
  socket.on('data', (chunk) => parser.push(chunk, (value) => frames.push(value)))
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  return { frames, send: (...args: (string | number)[]) => void socket.write(encodeCommand(args)), closed }
}

/** Whether the promise has settled by now, or will without anything else happening. */
const settled = async (promise: Promise<unknown>) => {
  let done = false
  promise.then(
    () => (done = true),
    () => (done = true),
  )
  // Long enough for anything that is on its way on this machine: the server itself is asked ten times meanwhile.
  for (let i = 0; i < 10; i++) await redis.command('PING')
  return done
}

describe('when nothing is wrong', () => {
  test('everything passes, and is counted', async () => {
    const { proxy, client } = await startBoth()
    const replies = await Promise.all(Array.from({ length: 5_000 }, (_, i) => client.command('ECHO', `${i} \r\n`)))
    expect(replies).toEqual(Array.from({ length: 5_000 }, (_, i) => `${i} \r\n`))
    await client.command('SET', 'large', 'x'.repeat(1_000_000))
    expect(await client.command('GET', 'large')).toHaveLength(1_000_000)
    expect(proxy.commands).toEqual({ ECHO: 5_000, SET: 1, GET: 1 })
  })

  test('a client that closes is gone at the server too', async () => {
    const { proxy, client } = await startBoth()
    await client.command('PING')
    client.close()
    await until(() => proxy.links.size === 0)
    await until(async () => (await redis.clientList()).length === 0)
  })

  test('a server that dies is gone for the client too', async () => {
    const { client } = await startBoth()
    await client.command('PING')
    await redis.server.kill()
    await client.closed
    await redis.server.start()
  })

  test('a server that is not there ends the connection', async () => {
    const { proxy } = await startBoth()
    await redis.server.kill()
    const client = await connectTo(proxy)
    await client.closed
    await redis.server.start()
  })
})

describe('cut', () => {
  test('resets connections; what was on its way is lost', async () => {
    const { proxy, client } = await startBoth()
    proxy.holdReplies()
    const pending = client.command('PING')
    await until(() => proxy.commands.PING)
    proxy.cut()
    await expect(pending).rejects.toMatchObject({ code: 'ECONNRESET' })
    proxy.releaseReplies()
    expect(await (await connectTo(proxy)).command('PING')).toBe('PONG')
  })

  test('may choose: the one that listens', async () => {
    const { proxy, client } = await startBoth()
    const listener = await connectTo(proxy)
    await listener.subscribe('c', () => {})
    proxy.cut(({ subscribed }) => subscribed)
    await listener.closed
    expect(await client.command('PING')).toBe('PONG')
  })

  test('refuse keeps new ones out until accept', async () => {
    const { proxy, client } = await startBoth()
    proxy.refuse()
    await expect(BareRedis.connect({ port: proxy.port })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(await client.command('PING')).toBe('PONG')
    await proxy.accept()
    expect(await (await connectTo(proxy)).command('PING')).toBe('PONG')
  })
})

describe('a black hole', () => {
  const silent = async () => {
    const { proxy, client } = await startBoth()
    await client.command('SET', 'n', 0)
    proxy.blackHole()
    const pending = client.command('INCR', 'n')
    await until(() => proxy.commands.INCR)
    expect(await settled(pending)).toBe(false)
    expect(await redis.command('GET', 'n')).toBe('0')
    return { proxy, client, pending }
  }

  test('ends late: what was said arrives', async () => {
    const { proxy, client, pending } = await silent()
    proxy.heal()
    expect(await pending).toBe(1)
    expect(await client.command('INCR', 'n')).toBe(2)
  })

  test('or with a loss: only what is said from then on arrives', async () => {
    const { proxy, client, pending } = await silent()
    proxy.heal('lost')
    // The answer to the second request: nobody will answer the first. This client takes it for the answer to the first.
    const second = client.command('ECHO', 'second')
    expect(await pending).toBe('second')
    expect(await settled(second)).toBe(false)
    expect(await redis.command('GET', 'n')).toBe('0')
    const rule = proxy.dropReplies('INCR')
    await expect(client.command('INCR', 'n')).rejects.toThrow()
    expect(rule.hits).toBe(1)
    await expect(second).rejects.toThrow()
  })

  test('or with a reset', async () => {
    const { proxy, pending } = await silent()
    proxy.heal('reset')
    await expect(pending).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  test('swallows new connections too', async () => {
    const { proxy } = await silent()
    const late = await connectTo(proxy)
    const pending = late.command('PING')
    expect(await settled(pending)).toBe(false)
    proxy.heal()
    expect(await pending).toBe('PONG')
  })

  test('hides from the server that a client has gone', async () => {
    const { proxy, client } = await startBoth()
    await client.subscribe('c', () => {})
    proxy.blackHole()
    client.close()
    await client.closed
    expect(await settled(client.closed)).toBe(true)
    expect(await redis.command('PUBLISH', 'c', 'm')).toBe(1)
    proxy.heal()
    await until(async () => (await redis.command('PUBLISH', 'c', 'm')) === 0)
  })

  test('may take some connections only', async () => {
    const { proxy, client } = await startBoth()
    const other = await connectTo(proxy)
    proxy.blackHole(({ id }) => id === 1)
    expect(await other.command('PING')).toBe('PONG')
    expect(await settled(client.command('PING'))).toBe(false)
    expect(await (await connectTo(proxy)).command('PING')).toBe('PONG')
    proxy.heal('reset')
    await client.closed
    expect(await other.command('PING')).toBe('PONG')
  })
})

describe('lost replies', () => {
  test('the server has done it, and the connection is reset', async () => {
    const { proxy, client } = await startBoth()
    const rule = proxy.dropReplies('INCR')
    await expect(client.command('INCR', 'n')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await redis.command('GET', 'n')).toBe('1')
    expect(await rule.hit()).toEqual({ name: 'INCR', args: ['n'], link: 1 })
    expect(await (await connectTo(proxy)).command('INCR', 'n')).toBe(2)
  })

  test('or silent from then on', async () => {
    const { proxy, client } = await startBoth()
    proxy.dropReplies('INCR', { by: 'hole' })
    const before = client.command('PING')
    const lost = client.command('INCR', 'n')
    const after = client.command('PING')
    expect(await before).toBe('PONG')
    await until(async () => (await redis.command('GET', 'n')) === '1')
    expect(await settled(Promise.race([lost, after]))).toBe(false)
    proxy.heal('reset')
    await expect(lost).rejects.toThrow()
    await expect(after).rejects.toThrow()
  })

  test('as often as asked, each with its connection', async () => {
    const { proxy } = await startBoth()
    const rule = proxy.dropReplies(/^INCR n$/, { times: 2 })
    for (let i = 0; i < 2; i++) await expect((await connectTo(proxy)).command('INCR', 'n')).rejects.toThrow()
    expect(await (await connectTo(proxy)).command('INCR', 'n')).toBe(3)
    expect(rule.hits).toBe(2)
  })

  test('one of many in a pipeline: those before arrive, those after are done and lost', async () => {
    const { proxy, client } = await startBoth()
    proxy.dropReplies(({ args }) => args[1] === '3')
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map((by) => client.command('INCRBY', 'n', by)))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected'])
    await until(async () => (await redis.command('GET', 'n')) === '10')
  })

  test('held replies arrive later, in order', async () => {
    const { proxy, client } = await startBoth()
    proxy.holdReplies()
    const pending = Promise.all([client.command('INCR', 'n'), client.command('INCR', 'n')])
    await until(async () => (await redis.command('GET', 'n')) === '2')
    expect(await settled(pending)).toBe(false)
    proxy.releaseReplies()
    expect(await pending).toEqual([1, 2])
  })
})

describe('rules', () => {
  test('cut before: the server has not done it', async () => {
    const { proxy, client } = await startBoth()
    const rule = proxy.onCommand('incr', 'cut before')
    const outcomes = await Promise.allSettled([client.command('SET', 'n', 7), client.command('INCR', 'n'), client.command('INCR', 'n')])
    expect(outcomes.map(({ status }) => status).slice(1)).toEqual(['rejected', 'rejected'])
    expect(rule.hits).toBe(1)
    rule.off()
    expect(Number((await redis.command('GET', 'n')) ?? 7)).toBe(7)
    expect(await (await connectTo(proxy)).command('INCRBY', 'm', 8)).toBe(8)
  })

  test('hole before: the request is on its way, for ever or until healed', async () => {
    const { proxy, client } = await startBoth()
    proxy.onCommand('INCR', 'hole before', { times: 1 })
    const pending = client.command('INCR', 'n')
    expect(await settled(pending)).toBe(false)
    expect(await redis.command('GET', 'n')).toBeNull()
    proxy.heal()
    expect(await pending).toBe(1)
  })

  test('a function decides, and what it awaits holds up the command and those behind it', async () => {
    const { proxy, client } = await startBoth()
    let decide = () => {}
    const decided = new Promise<void>((resolve) => (decide = resolve))
    const rule = proxy.onCommand('INCR', async ({ args }) => {
      await decided
      return args[0] === 'b' ? 'cut after' : 'pass'
    })
    const pending = [client.command('INCR', 'a'), client.command('GET', 'a'), client.command('INCR', 'b')]
    await rule.hit()
    expect(await settled(Promise.race(pending))).toBe(false)
    decide()
    const outcomes = await Promise.allSettled(pending)
    expect(outcomes).toMatchObject([{ value: 1 }, { value: '1' }, { status: 'rejected' }])
    expect(await rule.hit(2)).toMatchObject({ args: ['b'] })
    expect(await redis.command('GET', 'b')).toBe('1')
  })

  test('the oldest that matches counts, and pass ends them all', async () => {
    const { proxy, client } = await startBoth()
    const [one, two] = [proxy.onCommand('PING', 'pass', { times: 1 }), proxy.onCommand(/./, 'pass')]
    await client.command('PING')
    await client.command('PING')
    await proxy.pass()
    await client.command('PING')
    expect([one.hits, two.hits]).toEqual([1, 1])
  })
})

describe.each(VERSIONS)('messages, version %i', (version) => {
  const listen = async () => {
    const { proxy, client } = await startBoth(version)
    const heard: string[] = []
    await client.subscribe('c', (payload) => heard.push(payload))
    return { proxy, client, heard, publish: (payload: string) => redis.command('PUBLISH', 'c', payload) }
  }

  test('pass', async () => {
    const { proxy, heard, publish } = await listen()
    for (const payload of ['a', 'b']) await publish(payload)
    await until(() => heard.length === 2)
    expect([heard, proxy.pushes]).toEqual([['a', 'b'], { seen: 2, dropped: 0 }])
    expect([...proxy.links].map(({ subscribed }) => subscribed)).toEqual([true])
  })

  test('are dropped, so many or all', async () => {
    const { proxy, heard, publish } = await listen()
    proxy.dropPushes(1)
    for (const payload of ['a', 'b']) await publish(payload)
    await until(() => heard.length === 1)
    proxy.dropPushes()
    for (const payload of ['c', 'd']) await publish(payload)
    await until(() => proxy.pushes.seen === 4)
    await proxy.pass()
    await publish('e')
    await until(() => heard.includes('e'))
    expect([heard, proxy.pushes.dropped]).toEqual([['b', 'e'], 3])
  })

  test('are doubled', async () => {
    const { proxy, heard, publish } = await listen()
    proxy.duplicatePushes()
    for (const payload of ['a', 'b']) await publish(payload)
    await until(() => heard.length === 4)
    expect(heard).toEqual(['a', 'a', 'b', 'b'])
  })

  test('are held, and come in the other order', async () => {
    const { proxy, heard, publish } = await listen()
    proxy.holdPushes()
    for (const payload of ['a', 'b']) await publish(payload)
    await until(() => proxy.heldPushes === 2)
    expect(heard).toEqual([])
    proxy.releasePushes('reversed')
    await publish('c')
    await until(() => heard.length === 3)
    expect(heard).toEqual(['b', 'a', 'c'])
  })

  test('come late', async () => {
    const { proxy, heard, publish } = await listen()
    proxy.delayPushes(40)
    const began = performance.now()
    await publish('a')
    await until(() => heard.length === 1, { everyMs: 1 })
    expect(performance.now() - began).toBeGreaterThan(35)
  })

  test('pass while replies are held, and replies while messages are', async () => {
    const { proxy, client, heard, publish } = await listen()
    proxy.holdReplies()
    const more = client.subscribe('d', () => {})
    await publish('a')
    await until(() => heard.length === 1)
    expect(await settled(more)).toBe(false)
    proxy.releaseReplies()
    await more
    proxy.holdPushes()
    await publish('b')
    await client.unsubscribe('d')
    expect(heard).toEqual(['a'])
  })

  test('replies find their commands between messages and subscriptions', async () => {
    const { proxy } = await startBoth()
    const { frames, send, closed } = await rawClient(proxy)
    send('HELLO', version)
    // One command with two answers, one of a kind by itself, and then one for all channels that are left.
    send('SUBSCRIBE', 'x', 'y', 'z')
    send('PSUBSCRIBE', 'c*')
    send('UNSUBSCRIBE', 'x')
    await until(() => frames.length === 6)
    await redis.command('PUBLISH', 'c', 'm')
    send('UNSUBSCRIBE')
    send('PUNSUBSCRIBE')
    await until(() => frames.length === 10)
    expect(frames.slice(1).map((frame) => frame.slice(0, 2).join(' '))).toEqual([
      ...['subscribe x', 'subscribe y', 'subscribe z', 'psubscribe c*', 'unsubscribe x', 'pmessage c*'],
      ...[expect.stringMatching('unsubscribe [yz]'), expect.stringMatching('unsubscribe [yz]'), 'punsubscribe c*'],
    ])
    expect([...proxy.links].at(-1)?.subscribed).toBe(false)

    send('SET', 'k', 'v')
    await until(() => frames.length === 11)
    const rule = proxy.dropReplies('GET')
    send('GET', 'k')
    await closed
    expect([frames.length, rule.hits]).toEqual([11, 1])
  })
})

test('a plain list that looks like a message is a reply in version 3', async () => {
  const { proxy, client } = await startBoth(3)
  await client.command('SUBSCRIBE', 'c')
  await redis.command('RPUSH', 'l', 'subscribe', 'c', 'x')
  expect(await client.command('LRANGE', 'l', 0, -1)).toEqual(['subscribe', 'c', 'x'])
  expect(proxy.pushes.seen).toBe(0)
})

describe('a slow network', () => {
  test('delays each way', async () => {
    const { proxy, client } = await startBoth()
    const time = async () => {
      const began = performance.now()
      await client.command('PING')
      return performance.now() - began
    }
    proxy.delay(30)
    expect(await time()).toBeGreaterThan(55)
    proxy.delay({ toServerMs: 30 })
    expect(await time()).toBeGreaterThan(25)
    await proxy.pass()
    const times = [await time(), await time(), await time()]
    expect(Math.min(...times)).toBeLessThan(25)
  })

  test('keeps the order, and does not delay the second behind the first', async () => {
    const { proxy, client } = await startBoth()
    proxy.delay(20)
    const began = performance.now()
    const replies = await Promise.all(Array.from({ length: 50 }, () => client.command('INCR', 'n')))
    expect(replies).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
    expect(performance.now() - began).toBeLessThan(500)
  })

  test('carries only so many bytes a second', async () => {
    const { proxy, client } = await startBoth()
    await redis.command('SET', 'k', 'x'.repeat(4_000))
    proxy.throttle(20_000)
    const began = performance.now()
    expect(await client.command('GET', 'k')).toHaveLength(4_000)
    expect(performance.now() - began).toBeGreaterThan(150)
  })

  test('a cut ends what was still on its way', async () => {
    const { proxy, client } = await startBoth()
    proxy.throttle(100)
    const pending = client.command('SET', 'k', 'x'.repeat(4_000))
    await until(() => proxy.commands.SET)
    proxy.cut()
    await expect(pending).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await redis.command('GET', 'k')).toBeNull()
  })
})
