import { beforeEach, describe, expect, test } from 'vitest'
import { ClientError, replyError } from '../../src/clients/client.js'
import { Exchange, REQUEST_TIMEOUT_MS } from '../../src/store/redis/exchange.js'
import { LINGER_MS } from '../../src/store/redis/keep-alive.js'
import type { Answer } from '../../src/store/redis/replies.js'
import { StoreFailure } from '../../src/store/store.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeClient } from '../support/fake-client.js'
import { turn } from '../support/fake-store.js'

const SCRIPT = { source: 'the text', sha1: 'its-sha1' }

let clock: FakeClock
let client: FakeClient
let exchange: Exchange

beforeEach(() => {
  clock = new FakeClock()
  client = new FakeClient()
  exchange = new Exchange(client, clock, SCRIPT)
})

/** An operation, and what has become of it so far. */
function send(key = 'k', text = 'Q') {
  const state: { answer?: Answer; error?: any } = {}
  exchange
    .send(key, text, (answer) => answer)
    .then(
      (answer) => Object.assign(state, { answer }),
      (error) => Object.assign(state, { error }),
    )
  return state
}

/** The keys and texts of a batch. */
function operationsOf(args: readonly string[]): [string, string][] {
  const count = Number(args[2])
  return Array.from({ length: count }, (_, i) => [args[3 + i] as string, args[3 + count + i] as string])
}

/** Nothing is under way: some milliseconds later nothing keeps the process alive. */
async function expectLetGo() {
  await clock.advance(LINGER_MS)
  expect(client.keepsAlive).toBe(false)
}

describe('an operation', () => {
  test('travels as a call of the script, of one text for each', async () => {
    const sent = send('p:{a}', 'R s.1 500')
    expect(client.open).toEqual([])
    await turn()
    const call = client.take('EVALSHA')
    expect(call.args).toEqual(['EVALSHA', SCRIPT.sha1, '1', 'p:{a}', 'R s.1 500'])
    await clock.advance(30)
    await call.reply('777999\n1 x')
    expect(sent.answer).toEqual({ fields: ['1', 'x'], sentAtMs: 1_000_000, receivedAtMs: 1_000_030, serverNowMs: 777 })
  })

  test('travels together with all others of the same turn', async () => {
    const all = [send('a', '1'), send('b', '2')]
    await Promise.resolve()
    all.push(send('c', '3'))
    await turn()
    const call = client.take('EVALSHA')
    expect(operationsOf(call.args)).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ])
    expect(client.open).toEqual([])
    await call.reply('777000\n1 a\n2\n3 ')
    expect(all.map(({ answer }) => answer?.fields)).toEqual([['1', 'a'], ['2'], ['3', '']])
  })

  test('does not travel with more than 127 others', async () => {
    for (let i = 0; i < 300; i++) send(`k${i}`)
    await turn()
    const counts = [client.take('EVALSHA'), client.take('EVALSHA'), client.take('EVALSHA')].map(({ args }) => Number(args[2]))
    expect(counts).toEqual([128, 128, 44])
    expect(client.open).toEqual([])
  })
})

describe('a script that the server does not know', () => {
  test('is loaded by the same call, unseen by whoever asked', async () => {
    const sent = send('k', 'Q')
    await turn()
    await client.take('EVALSHA').fail(replyError('NOSCRIPT No matching script.'))
    const call = client.take('EVAL')
    expect(call.args).toEqual(['EVAL', SCRIPT.source, '1', 'k', 'Q'])
    await call.reply('777000\n1')
    expect(sent.answer?.fields).toEqual(['1'])
  })

  test('any other failure is not tried twice', async () => {
    const sent = send()
    await turn()
    await client.take('EVALSHA').fail(replyError('NOPERM no rights'))
    expect(client.open).toEqual([])
    expect(sent.error).toMatchObject({ kind: 'refused', message: 'NOPERM no rights' })
  })
})

describe('a failure', () => {
  test.each([
    [new ClientError('CONNECTION', 'reset'), 'unreachable', 'reset'],
    [new ClientError('CLOSED', 'the client was closed'), 'refused', 'the client was closed'],
    [replyError('LOADING wait'), 'unreachable', 'LOADING wait'],
    [replyError('OOM no memory'), 'refused', 'OOM no memory'],
    [replyError('WRONGTYPE of a key'), 'conflict', 'another type'],
    ['a bare text', 'unreachable', 'a bare text'],
  ])('%s is %s', async (error, kind, message) => {
    const both = [send(), send()]
    await turn()
    await client.take('EVALSHA').fail(error)
    for (const sent of both) {
      expect(sent.error).toMatchObject({ name: 'StoreFailure', kind })
      expect(sent.error.message).toContain(message)
    }
    await expectLetGo()
  })

  test.each([
    null,
    'OK',
    '',
    '777',
    '777\n1\n2',
    'x\n1',
    '\n1',
    5,
    [],
    [777],
    [777, [1], [2]],
    ['x', [1]],
    [null, [1]],
    [777, null],
    [777, 1],
  ])('a reply that is none of ours is one: %j', async (reply) => {
    const sent = send()
    await turn()
    await client.take('EVALSHA').reply(reply)
    expect(sent.error).toMatchObject({ kind: 'refused' })
    await expectLetGo()
  })
})

describe('of the operations of one call', () => {
  test('one that failed fails alone, also where the others are lines', async () => {
    const [good, bad] = [send('a'), send('b')]
    await turn()
    await client.take('EVALSHA').reply(['777000', '1 5', [-1, 'OOM no memory']])
    expect(good.answer?.fields).toEqual(['1', '5'])
    expect(bad.error).toMatchObject({ kind: 'refused', message: 'OOM no memory' })
  })

  test('one whose answer means nothing fails alone', async () => {
    const failing = expect(exchange.send('a', 'Q', () => JSON.parse('x'))).rejects.toThrow(SyntaxError)
    const good = send('b')
    await turn()
    await client.take('EVALSHA').reply('777000\n1\n2')
    await failing
    expect(good.answer?.fields).toEqual(['2'])
  })

  test('a conflict is explained before it is told', async () => {
    const explained = new StoreFailure('conflict', 'it holds a list')
    exchange = new Exchange(client, clock, SCRIPT, 128, async (key, { kind }) => {
      expect([key, kind]).toEqual(['k', 'conflict'])
      return explained
    })
    const sent = send()
    await turn()
    await client.take('EVALSHA').reply([777_000, [-1, 'WRONGTYPE Operation against a key']])
    expect(sent.error).toBe(explained)
  })
})

describe('a connection that is not there', () => {
  test('is asked for, and what waits is sent when it stands', async () => {
    client.isUp = false
    const sent = send('k', 'Q')
    await turn()
    expect([client.connects, client.open]).toEqual([1, []])
    await client.up()
    await client.take('EVALSHA').reply('777000\n1')
    expect(sent.answer?.fields).toEqual(['1'])
  })

  test('fails what waits when the attempt fails', async () => {
    client.isUp = false
    const sent = send()
    await turn()
    await client.down('connect ECONNREFUSED')
    expect(sent.error).toMatchObject({ kind: 'unreachable', message: 'connect ECONNREFUSED' })
    await expectLetGo()
  })

  test('that never comes fails what waits after its time', async () => {
    await answerFirst()
    client.isUp = false
    const sent = send()
    await clock.advance(REQUEST_TIMEOUT_MS - 1)
    expect(sent.error).toBeUndefined()
    await clock.advance(1)
    expect(sent.error).toMatchObject({ kind: 'unreachable', message: `no answer within ${REQUEST_TIMEOUT_MS} ms` })
    expect(client.reconnects).toBe(0)
  })
})

/** An exchange that has had its first answer. */
async function answerFirst() {
  send()
  await turn()
  await client.take('EVALSHA').reply('777000\n1')
}

test('before the first answer the limit is longer: loading the library and connecting are in it', async () => {
  const sent = send()
  await clock.advance(4_999)
  expect(sent.error).toBeUndefined()
  await clock.advance(1)
  expect(sent.error).toMatchObject({ kind: 'unreachable', message: 'no answer within 5000 ms' })
})

test('the shorter limit holds as soon as there is an answer, for what is under way as well', async () => {
  send()
  await turn()
  const first = client.take('EVALSHA')
  const second = send()
  await clock.advance(1_000)
  await first.reply('777000\n1')
  await clock.advance(999)
  expect(second.error).toBeUndefined()
  await clock.advance(1)
  expect(second.error).toMatchObject({ message: 'no answer within 2000 ms' })
})

describe('an answer that does not come', () => {
  beforeEach(answerFirst)

  test('fails after its time, with the last that was heard of the connection', async () => {
    await client.down('the line was cut')
    client.isUp = true
    const sent = send()
    await clock.advance(REQUEST_TIMEOUT_MS)
    expect(sent.error.message).toBe(`no answer within ${REQUEST_TIMEOUT_MS} ms (the line was cut)`)
    await expectLetGo()
  })

  test('fails each request at its own time, with one timer', async () => {
    const first = send()
    await clock.advance(500)
    const second = send()
    await turn()
    expect(clock.pending).toBe(1)
    await clock.advance(REQUEST_TIMEOUT_MS - 500)
    expect([first.error !== undefined, second.error !== undefined]).toEqual([true, false])
    await clock.advance(500)
    expect(second.error).toBeDefined()
    await expectLetGo()
    expect(clock.pending).toBe(0)
  })

  test('twice in a row gives the connection up for a new one', async () => {
    send()
    await clock.advance(REQUEST_TIMEOUT_MS)
    expect(client.reconnects).toBe(0)
    send()
    await clock.advance(REQUEST_TIMEOUT_MS)
    expect(client.reconnects).toBe(1)
    send()
    await clock.advance(REQUEST_TIMEOUT_MS)
    expect(client.reconnects).toBe(1)
  })

  test('counts only when it is overdue, not when it is awaited as the timer fires', async () => {
    send()
    await turn()
    await client.take('EVALSHA').reply('777000\n1')
    await clock.advance(REQUEST_TIMEOUT_MS - 10)
    const sent = send()
    await clock.advance(REQUEST_TIMEOUT_MS)
    expect(sent.error).toBeDefined()
    expect(client.reconnects).toBe(0)
  })

  test('twice with an answer in between does not', async () => {
    send()
    await clock.advance(REQUEST_TIMEOUT_MS)
    client.take('EVALSHA')
    send()
    await turn()
    await client.take('EVALSHA').reply('777000\n1')
    send()
    await clock.advance(REQUEST_TIMEOUT_MS)
    expect(client.reconnects).toBe(0)
  })

  test('that comes late tells nobody', async () => {
    const sent = send()
    await turn()
    const call = client.take('EVALSHA')
    await clock.advance(REQUEST_TIMEOUT_MS)
    await call.reply('777000\n1')
    expect(sent.answer).toBeUndefined()
    expect(exchange.hasAnswered).toBe(true)
  })

  test('only because this process stood still gets a turn of the event loop more', async () => {
    const sent = send()
    await turn()
    const call = client.take('EVALSHA')
    // The timer comes late: replies may be waiting to be read.
    const late = clock.advance.bind(clock)
    Object.assign(clock, { nowMs: clock.now() + 5 * REQUEST_TIMEOUT_MS })
    const moving = late(0)
    await call.reply('777000\n1')
    await moving
    expect(sent.error).toBeUndefined()
    expect(sent.answer?.fields).toEqual(['1'])
  })
})

describe("the server's clock", () => {
  test('is bounded by the last exchange', async () => {
    expect(exchange.hasAnswered).toBe(false)
    expect(exchange.notLaterThan(5)).toBeNaN()
    send()
    await turn()
    const sentAtMs = clock.now()
    await clock.advance(40)
    await client.take('EVALSHA').reply('50000000\n1')
    expect(exchange.hasAnswered).toBe(true)
    expect(exchange.notLaterThan(50_000)).toBe(sentAtMs)
    expect(exchange.notLaterThan(49_000)).toBe(sentAtMs - 1_000)
  })

  test('is forgotten with the connection: another server may answer next', async () => {
    send()
    await turn()
    await client.take('EVALSHA').reply('50000000\n1')
    send()
    await turn()
    const late = client.take('EVALSHA')
    for (const watcher of client.watchers) watcher.down(new ClientError('CONNECTION', 'gone'))
    expect(exchange.hasAnswered).toBe(true)
    expect(exchange.notLaterThan(50_000)).toBeNaN()
    // From the old connection.
    await late.reply('50000000\n1')
    expect(exchange.notLaterThan(50_000)).toBeNaN()
    for (const watcher of client.watchers) watcher.up()
    send()
    await turn()
    const sentAtMs = clock.now()
    await client.take('EVALSHA').reply('90000000\n1')
    expect(exchange.notLaterThan(90_000)).toBe(sentAtMs)
  })

  test.each(['READONLY', 'MASTERDOWN', 'LOADING'])('a server that is no primary (%s) makes the client look again', async (code) => {
    send()
    await turn()
    await client.take('EVALSHA').reply(['50000000', [-1, `${code} no`]])
    expect(client.looks).toBe(1)
    send()
    await turn()
    await client.take('EVALSHA').fail(new ClientError('REPLY', `${code} no`, code))
    expect(client.looks).toBe(2)
    send()
    await turn()
    await client.take('EVALSHA').reply(['50000000', [-1, 'OOM no']])
    expect(client.looks).toBe(2)
  })
})

describe('the process', () => {
  test('is kept alive while a request is under way, and some milliseconds longer', async () => {
    expect(client.keepsAlive).toBeUndefined()
    send()
    expect(client.keepsAlive).toBe(true)
    await clock.advance(LINGER_MS + 1)
    await client.take('EVALSHA').reply('777000\n1')
    expect(client.keepsAlive).toBe(true)
    await clock.advance(LINGER_MS - 1)
    expect(client.keepsAlive).toBe(true)
    await clock.advance(1)
    expect(client.keepsAlive).toBe(false)
  })

  test('is kept alive by what is under way when those milliseconds are over', async () => {
    await answerFirst()
    await clock.advance(LINGER_MS - 1)
    send()
    await clock.advance(LINGER_MS)
    const second = client.take('EVALSHA')
    expect(client.keepsAlive).toBe(true)
    await second.reply('777000\n1')
    await expectLetGo()
  })

  test('is kept alive by a plain command as well', async () => {
    const reply = exchange.command(['INFO', 'memory'])
    expect(client.keepsAlive).toBe(true)
    await turn()
    await client.take('INFO').reply('maxmemory:0')
    await expect(reply).resolves.toBe('maxmemory:0')
    await expectLetGo()
    expect(clock.pending).toBe(0)
  })
})

describe('a plain command', () => {
  test('waits for the connection', async () => {
    client.isUp = false
    const reply = exchange.command(['INFO'])
    await turn()
    expect([client.connects, client.open]).toEqual([1, []])
    await client.up()
    await client.take('INFO').reply('x')
    await expect(reply).resolves.toBe('x')
  })

  test('fails with the connection', async () => {
    client.isUp = false
    const reply = expect(exchange.command(['INFO'])).rejects.toMatchObject({ kind: 'unreachable', message: 'connection lost' })
    await client.down()
    await reply
    await expectLetGo()
    expect(clock.pending).toBe(0)
  })

  test('fails when the server refuses', async () => {
    const reply = expect(exchange.command(['INFO'])).rejects.toMatchObject({ kind: 'refused' })
    await turn()
    await client.take('INFO').fail(replyError('NOPERM no rights'))
    await reply
  })

  test('fails after its time', async () => {
    await answerFirst()
    const reply = expect(exchange.command(['SCAN', '0'])).rejects.toMatchObject({ message: 'SCAN: no answer within 2000 ms' })
    await clock.advance(REQUEST_TIMEOUT_MS)
    await reply
    await expectLetGo()
  })
})

describe('closing', () => {
  test('fails whatever is under way or waits', async () => {
    const sent = send()
    await turn()
    const call = client.take('EVALSHA')
    const unsent = send()
    client.isUp = false
    const command = expect(exchange.command(['INFO'])).rejects.toMatchObject({ kind: 'refused' })
    exchange.close()
    await command
    expect(sent.error).toMatchObject({ kind: 'refused', message: 'the store was closed' })
    expect(unsent.error).toMatchObject({ kind: 'refused' })
    expect([client.keepsAlive, client.watchers.size, clock.pending]).toEqual([false, 0, 0])
    await call.reply('777000\n1')
    expect(sent.answer).toBeUndefined()
  })

  test('fails at once whatever comes after it, without a command', async () => {
    exchange.close()
    const sent = send()
    await turn()
    expect(sent.error).toMatchObject({ kind: 'refused', message: 'the store was closed' })
    await expect(exchange.command(['INFO'])).rejects.toMatchObject({ kind: 'refused', message: 'the store was closed' })
    expect([client.open, clock.pending, client.connects]).toEqual([[], 0, 0])
  })
})
