import { beforeEach, describe, expect, test, vi } from 'vitest'
import { ClientError, replyError } from '../../src/clients/client.js'
import { Exchange } from '../../src/store/redis/exchange.js'
import { Inbox, sessionOf } from '../../src/store/redis/inbox.js'
import { LINGER_MS } from '../../src/store/redis/keep-alive.js'
import { Keyspace } from '../../src/store/redis/keys.js'
import { SERVER_ROUNDING_MS } from '../../src/store/redis/replies.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeClient } from '../support/fake-client.js'
import { turn } from '../support/fake-store.js'
import { makeListener } from '../support/session-listener.js'

const SESSION = 'AAAAAAAAAAAAAAAAAAAAAA'
const ID = `${SESSION}.1`
const CHANNEL = `p:inbox:${SESSION}`
const NAME = 'n'
const SERVER_MS = 50_000

let clock: FakeClock
let client: FakeClient
let exchange: Exchange
let inbox: Inbox
let warn: (code: string, message: string) => void

beforeEach(() => {
  clock = new FakeClock()
  client = new FakeClient()
  exchange = new Exchange(client, clock, { source: 'the text', sha1: 'its-sha1' })
  warn = vi.fn()
  inbox = new Inbox(client, clock, new Keyspace('p:'), exchange, true, (code, message) => warn(code, message))
})

/** An exchange with the server in which its time was {@link SERVER_MS}, sent at this moment and answered `tookMs` later. */
async function exchangeTime(tookMs = 0): Promise<number> {
  const sentAtMs = clock.now()
  void exchange.send('k', 'Q', () => undefined)
  await turn()
  await clock.advance(tookMs)
  await client.take('EVALSHA').reply(`${SERVER_MS}000\n1`)
  return sentAtMs
}

const hear = (text: string) => client.channels.get(CHANNEL)?.message(text)

test('the session of an id is what stands before its dot', () => {
  expect(sessionOf(ID)).toBe(SESSION)
})

describe('a session', () => {
  test('hears on a channel of its own', async () => {
    expect(inbox.wakeOf(SESSION, NAME)).toBe('-')
    const listener = makeListener()
    await inbox.open(SESSION, listener)
    expect([...client.channels.keys()]).toEqual([CHANNEL])
    expect(inbox.wakeOf(SESSION, NAME)).toBe('p')
    expect(inbox.listeners).toEqual([listener])
  })

  test('can not be woken where nothing is pushed', async () => {
    inbox = new Inbox(client, clock, new Keyspace('p:'), exchange, false, (code, message) => warn(code, message))
    await inbox.open(SESSION, makeListener())
    expect(client.channels.size).toBe(0)
    expect(inbox.wakeOf(SESSION, NAME)).toBe('-')
  })

  test('is told when its subscription was away for a while', async () => {
    const listener = makeListener()
    await inbox.open(SESSION, listener)
    client.channels.get(CHANNEL)?.restored()
    expect(listener.restored).toHaveBeenCalledTimes(1)
  })

  test('leaves no trace when it has left', async () => {
    const listener = makeListener()
    const leave = await inbox.open(SESSION, listener)
    const channel = client.channels.get(CHANNEL)
    await leave()
    await leave()
    expect([client.channels.size, inbox.listeners, inbox.wakeOf(SESSION, NAME)]).toEqual([0, [], '-'])
    // A message that was under way.
    channel?.message(`c ${ID}`)
    expect(listener.changed).not.toHaveBeenCalled()
    await clock.advance(LINGER_MS)
    expect([client.keepsAlive, clock.pending]).toEqual([false, 0])
  })

  test('that is without the right to subscribe polls, and the operator is told what is missing', async () => {
    client.subscribeError = replyError('NOPERM this user has no permissions to access one of the channels')
    await inbox.open(SESSION, makeListener())
    expect(inbox.wakeOf(SESSION, NAME)).toBe('-')
    expect(warn).toHaveBeenCalledWith('NO_CHANNEL_RIGHT', expect.stringContaining('grant the user &p:*'))
  })

  test.each([new ClientError('CONNECTION', 'reset'), replyError('LOADING wait')])(
    'whose subscription failed subscribes again at the next attempt: %s',
    async (error) => {
      client.subscribeError = error
      await expect(inbox.open(SESSION, makeListener())).rejects.toMatchObject({ name: 'StoreFailure', kind: 'unreachable' })
      expect(inbox.wakeOf(SESSION, NAME)).toBe('-')
      client.subscribeError = undefined
      await inbox.open(SESSION, makeListener())
      expect(inbox.wakeOf(SESSION, NAME)).toBe('p')
    },
  )
})

describe('a grant', () => {
  test("counts from the server's time in it, as far as our last exchange bounds that", async () => {
    const listener = makeListener()
    await inbox.open(SESSION, listener)
    const sentAtMs = await exchangeTime(100)
    await clock.advance(250)
    // 300 ms after the server's time that we know; at most 350 have passed here since.
    hear(`g ${ID} 1700000000000000 ${SERVER_MS + 300} 5000 1`)
    expect(listener.granted).toHaveBeenCalledWith(ID, {
      fencingToken: 1_700_000_000_000_000,
      validUntilMs: sentAtMs + 300 + 5_000 - SERVER_ROUNDING_MS,
      othersWait: true,
      // The server's clock stands far behind this token.
      canHandOn: false,
    })
  })

  test('never counts for longer than from now, whatever clock stepped', async () => {
    const listener = makeListener()
    await inbox.open(SESSION, listener)
    await exchangeTime()
    hear(`g ${ID} 7 ${SERVER_MS + 3_600_000} 5000 0`)
    expect(listener.granted).toHaveBeenCalledWith(ID, {
      fencingToken: 7,
      validUntilMs: clock.now() + 5_000,
      othersWait: false,
      canHandOn: true,
    })
  })

  test('that is too old to be used is a hint to ask', async () => {
    const listener = makeListener()
    await inbox.open(SESSION, listener)
    await exchangeTime()
    await clock.advance(6_000)
    hear(`g ${ID} 7 ${SERVER_MS + 500} 5000 0`)
    expect(listener.granted).not.toHaveBeenCalled()
    expect(listener.changed).toHaveBeenCalledWith(ID)
  })

  test('before any exchange is a hint to ask: nothing bounds its age', async () => {
    const listener = makeListener()
    await inbox.open(SESSION, listener)
    hear(`g ${ID} 7 ${SERVER_MS} 5000 0`)
    expect(listener.granted).not.toHaveBeenCalled()
    expect(listener.changed).toHaveBeenCalledWith(ID)
  })

  test('with a token beyond what a number holds is a hint to ask', async () => {
    const listener = makeListener()
    await inbox.open(SESSION, listener)
    await exchangeTime()
    hear(`g ${ID} 9999999999999999 ${SERVER_MS} 5000 0`)
    expect(listener.granted).not.toHaveBeenCalled()
    expect(listener.changed).toHaveBeenCalledWith(ID)
  })
})

test.each([
  [(SERVER_MS + 1) * 1_000 - 1, true],
  [(SERVER_MS + 1) * 1_000, false],
])('the token %d can be counted on from: %s, as the server is no further in time', async (token, canHandOn) => {
  const listener = makeListener()
  await inbox.open(SESSION, listener)
  await exchangeTime()
  hear(`g ${ID} ${token} ${SERVER_MS} 5000 0`)
  expect(listener.granted).toHaveBeenCalledWith(ID, expect.objectContaining({ fencingToken: token, canHandOn }))
})

test('that others wait is told', async () => {
  const listener = makeListener()
  await inbox.open(SESSION, listener)
  hear(`o ${ID}`)
  expect(listener.othersWait.mock.calls).toEqual([[ID]])
  expect(listener.changed).not.toHaveBeenCalled()
})

test('a change is told', async () => {
  const listener = makeListener()
  await inbox.open(SESSION, listener)
  hear(`c ${ID}`)
  expect(listener.changed).toHaveBeenCalledWith(ID)
})

describe('what is not for us is ignored, and counted', () => {
  test.each([
    '',
    ' ',
    'g',
    'hello',
    'c',
    'c ',
    `c  ${ID}`,
    `c ${ID} `,
    `c ${ID}\n`,
    `x ${ID}`,
    `g ${ID}`,
    `g ${ID} 1 2`,
    `g ${ID} 1 2 3`,
    `g ${ID} 1 2 3 2`,
    `g ${ID} 1 2 3 0 4`,
    `g ${ID} -1 2 3 0`,
    `g ${ID} 1.5 2 3 0`,
    `g ${ID} 1 2 99999999999999999 0`,
    `g ${ID} 0x1 2 3 0`,
    `g ${'x'.repeat(200)} 1 2 3 0`,
    'o',
    `o ${ID} `,
    'o BBBBBBBBBBBBBBBBBBBBBB.1',
    `c ${'x'.repeat(200)}`,
    'c BBBBBBBBBBBBBBBBBBBBBB.1',
    `c ${SESSION}`,
    'g BBBBBBBBBBBBBBBBBBBBBB.1 1 2 3 0',
    '\0\0\0',
    '{"type":"granted"}',
    'x'.repeat(1_000_000),
  ])('%.60j', async (text) => {
    const listener = makeListener()
    await inbox.open(SESSION, listener)
    await exchangeTime()
    hear(text)
    const { granted, changed, othersWait } = listener
    expect([granted.mock.calls, changed.mock.calls, othersWait.mock.calls, inbox.ignored]).toEqual([[], [], [], 1])
  })
})

test('each session hears what is for itself alone', async () => {
  const [mine, other] = [makeListener(), makeListener()]
  await inbox.open(SESSION, mine)
  await inbox.open('BBBBBBBBBBBBBBBBBBBBBB', other)
  hear(`c ${ID}`)
  hear('c BBBBBBBBBBBBBBBBBBBBBB.1')
  expect(mine.changed.mock.calls).toEqual([[ID]])
  expect(other.changed).not.toHaveBeenCalled()
})
