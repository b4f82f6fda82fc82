/** What every port to a Redis client library has to keep, as cases for any test runner. They want a Redis server of their own. */

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { type ChannelListener, ClientError, type RedisClient } from '../clients/index.js'
import type { ConformanceCase } from './case.js'

/** A port, and what its owner would see and do. */
export interface ClientUnderTest {
  readonly client: RedisClient
  /** A command by the owner of the library's client, without the port; absent where the port owns the connection. */
  ownerPing?(): Promise<unknown>
  /** How many listeners the library's client has, of all events that the port may listen to. */
  countListeners?(): number
  /** Closes everything. */
  dispose(): Promise<void>
}

export interface ClientHarness {
  /** A new port on a connected client. Called once or more in every case. */
  make(): Promise<ClientUnderTest>
  /** One command on a connection of its own, which is none of the port's. Cases flush the server's data and end its other connections. */
  command(...args: string[]): Promise<unknown>
  /** True for libraries that send unanswered commands again after a lost connection. */
  readonly resends?: boolean
  /**
   * True for a port to a Cluster. `command` then sends to every primary, and resolves to the first one's answer, or to the sum of numbers. What
   * is said of one connection (that it comes back, what is under way when it is lost) is skipped: a Cluster is up while one node is.
   */
  readonly isCluster?: boolean
}

interface Scene extends ClientUnderTest {
  command(...args: string[]): Promise<unknown>
  /** Ends every connection of the server but the harness's own. */
  cutAll(): Promise<void>
}

type Run = (scene: Scene) => Promise<void>

const PATIENCE_MS = 5_000
const SECRET = 'hunter2-is-a-secret'
const SCRIPT = {
  echo: 'return ARGV',
  nested: "return {1, 'two', {3, 'four'}, {}, {5}, 'six', false}",
  fail: "return redis.error_reply('CUSTOM_CODE with a text')",
}

/** What can't be said of a Cluster: see {@link ClientHarness.isCluster}. */
const ONE_SERVER = new Set([
  'commands are carried out in the order of their sending',
  'a lost connection comes back, and both are told',
  'while the connection is down a command rejects at once',
  'a command whose reply was lost rejects',
  'a command whose reply was lost is sent again',
  'the number of receivers that a script sees counts the subscriber',
  'commands and messages do not disturb each other',
  'close() ends subscriptions and the connections that the port opened',
])

/**
 * The cases of the contract in `RedisClient`.
 *
 * @param wake what the port under test says of itself: without it, what needs messages is left out with a reason
 */
export function clientConformance(harness: ClientHarness, wake: RedisClient['wake']): ConformanceCase[] {
  const always = Object.entries({ ...commandCases, ...connectionCases(harness.resends ?? false) })
  const hearing = Object.entries(messageCases)
  const skip = wake === 'none' ? 'its library has no connection that hears messages' : undefined
  const ofOneServer = (name: string) =>
    harness.isCluster && ONE_SERVER.has(name) ? 'it is about a single connection, or server' : undefined
  const deaf: [string, Run][] = wake === 'none' ? [['refuses to subscribe', refusesToSubscribe]] : []
  return [
    ...[...always, ...deaf].map(([name, run]) => ({ name, skip: ofOneServer(name), run: () => play(harness, run) })),
    ...hearing.map(([name, run]) => ({ name, skip: skip ?? ofOneServer(name), run: () => play(harness, run) })),
  ]
}

async function play(harness: ClientHarness, run: Run): Promise<void> {
  await harness.command('FLUSHALL')
  const made = await harness.make()
  const cutAll = async (): Promise<void> => {
    // A subscriber in RESP3 is of the second kind, although it sends commands too.
    await harness.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await harness.command('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes')
  }
  try {
    await until('the client is up', () => made.client.isUp)
    await run({ ...made, command: (...args) => harness.command(...args), cutAll })
  } finally {
    await made.client.close()
    await made.dispose()
  }
}

const commandCases: Record<string, Run> = {
  'a command resolves to its reply': async ({ client }) => {
    assert.equal(await client.command(['SET', 'key', 'value']), 'OK')
    assert.equal(await client.command(['GET', 'key']), 'value')
    assert.equal(Number(await client.command(['INCR', 'counter'])), 1)
    assert.equal(await client.command(['GET', 'absent']), null)
    const nested = await client.command(['EVAL', SCRIPT.nested, '0'])
    assert.deepEqual(nested, [1, 'two', [3, 'four'], [], [5], 'six', null])
  },

  'arguments arrive as they are': async ({ client }) => {
    const texts = ['', ' ', 'a b', '"', "'", '{x}', '\r\n', '\0', 'ünïcödé 鍵 🔒', 'x'.repeat(100_000)]
    assert.deepEqual(await client.command(['EVAL', SCRIPT.echo, '0', ...texts]), texts)
  },

  'commands are carried out in the order of their sending': async ({ client }) => {
    const replies = await Promise.all(Array.from({ length: 500 }, () => client.command(['INCR', 'counter'])))
    assert.deepEqual(
      replies.map(Number),
      [...replies.keys()].map((index) => index + 1),
    )
  },

  'an error reply rejects with its code': async ({ client }) => {
    await client.command(['SET', 'text', 'x'])
    await failsWith(client.command(['EVALSHA', '0'.repeat(40), '0']), 'REPLY', 'NOSCRIPT')
    await failsWith(client.command(['INCRBY', 'text', '1']), 'REPLY', 'ERR')
    await failsWith(client.command(['LPUSH', 'text', '1']), 'REPLY', 'WRONGTYPE')
    const error = await failsWith(client.command(['EVAL', SCRIPT.fail, '0']), 'REPLY', 'CUSTOM_CODE')
    assert.match(error.message, /^CUSTOM_CODE.*with a text/)
  },

  'no error carries arguments': async ({ client }) => {
    const errors = [
      await failsWith(client.command(['EVALSHA', '0'.repeat(40), '0', SECRET]), 'REPLY', 'NOSCRIPT'),
      await failsWith(client.command(['NO-SUCH-COMMAND', SECRET]), 'REPLY', 'ERR'),
    ]
    for (const error of errors) assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(SECRET), error.message)
  },
}

const connectionCases = (resends: boolean): Record<string, Run> => ({
  'a lost connection comes back, and both are told': async (scene) => {
    const { client } = scene
    const heard: string[] = []
    const stop = client.watch({
      up: () => heard.push(`up ${client.isUp}`),
      down: (error) => heard.push(`down ${client.isUp} ${error instanceof ClientError}`),
    })
    await scene.cutAll()
    await until('the client is up again', () => heard.includes('up true'))
    assert.equal(heard[0], 'down false true')
    assert.equal(await client.command(['PING']), 'PONG')
    stop()
    const before = heard.length
    await scene.cutAll()
    await untilAnswers(client)
    assert.equal(heard.length, before, 'who stopped watching hears nothing')
  },

  'while the connection is down a command rejects at once': async (scene) => {
    const { client } = scene
    const rejected = new Promise<unknown>((resolve) => {
      client.watch({ up: () => {}, down: () => resolve(client.command(['SET', 'late', '1']).catch((error: unknown) => error)) })
    })
    await scene.cutAll()
    const error = await within('the rejection', rejected)
    assert.ok(error instanceof ClientError && error.code === 'CONNECTION', String(error))
    await untilAnswers(client)
    assert.equal(await client.command(['GET', 'late']), null, 'it must not be carried out later')
  },

  [resends ? 'a command whose reply was lost is sent again' : 'a command whose reply was lost rejects']: async (scene) => {
    const { client } = scene
    // The reply is lost because it does not come before the connection ends.
    const reply = client.command(['BLPOP', 'list', '0'])
    reply.catch(() => {})
    await until('the command waits', async () => /cmd=blpop/.test(String(await scene.command('CLIENT', 'LIST'))))
    await scene.cutAll()
    if (!resends) await failsWith(reply, 'CONNECTION')
    await untilAnswers(client, resends)
    await scene.command('RPUSH', 'list', 'item')
    if (resends) assert.deepEqual(await within('the reply', reply), ['list', 'item'])
    else assert.equal(await scene.command('LLEN', 'list'), 1)
  },

  'after close() commands reject, and the owner goes on': async ({ client, ownerPing, countListeners }) => {
    const heard: string[] = []
    client.watch({ up: () => heard.push('up'), down: () => heard.push('down') })
    await client.close()
    await client.close()
    assert.equal(client.isUp, false)
    await failsWith(client.command(['PING']), 'CLOSED')
    await failsWith(client.subscribe('channel', silent), client.wake === 'none' ? 'CONNECTION' : 'CLOSED')
    if (ownerPing) assert.equal(await ownerPing(), 'PONG')
    if (countListeners) assert.equal(countListeners(), 0)
    assert.deepEqual(heard, [])
  },

  'nothing is printed and nothing is left unhandled': async (scene) => {
    const { client } = scene
    const noises = await noisesOf(async () => {
      if (client.wake !== 'none') await client.subscribe('channel', silent)
      await client.command(['NO-SUCH-COMMAND']).catch(() => {})
      client.keepProcessAlive(true)
      await scene.cutAll()
      await untilAnswers(client)
      client.keepProcessAlive(false)
      await client.close()
      // For what comes late.
      await pause(50)
    })
    assert.deepEqual(noises, [])
  },
})

const messageCases: Record<string, Run> = {
  'a subscriber hears what is published, in order, and only on its channel': async (scene) => {
    const mine = new Recorder()
    const other = new Recorder()
    await scene.client.subscribe('mine', mine)
    await scene.client.subscribe('other', other)
    const texts = ['1', 'ünïcödé 鍵 🔒', '', '3']
    for (const text of texts) await scene.command('PUBLISH', 'mine', text)
    await scene.command('PUBLISH', 'other', 'x')
    await until('all is heard', () => mine.heard.length >= 4 && other.heard.length >= 1)
    assert.deepEqual([mine.heard, other.heard], [texts, ['x']])
    assert.deepEqual([mine.restorals, other.restorals], [0, 0])
  },

  'the number of receivers that a script sees counts the subscriber': async ({ client }) => {
    await client.subscribe('channel', silent)
    const publish = "return redis.call('PUBLISH', 'channel', 'x')"
    assert.equal(await client.command(['EVAL', publish, '0']), 1)
  },

  'commands and messages do not disturb each other': async (scene) => {
    const { client } = scene
    const recorder = new Recorder()
    await client.subscribe('channel', recorder)
    const publish = "redis.call('PUBLISH', 'channel', ARGV[1]) return {ARGV[1], 'message', 'channel'}"
    const numbers = Array.from({ length: 300 }, (_, index) => String(index))
    const replies = await Promise.all(numbers.map((number) => client.command(['EVAL', publish, '0', number])))
    assert.deepEqual(
      replies,
      numbers.map((number) => [number, 'message', 'channel']),
    )
    await until('all is heard', () => recorder.heard.length >= numbers.length)
    assert.deepEqual(recorder.heard, numbers)
  },

  'two subscribers of one channel are told both, until each ends': async (scene) => {
    const [first, second] = [new Recorder(), new Recorder()]
    const end = await scene.client.subscribe('channel', first)
    const endSecond = await scene.client.subscribe('channel', second)
    await scene.command('PUBLISH', 'channel', '1')
    await until('both hear', () => first.heard.length === 1 && second.heard.length === 1)
    await end()
    await scene.command('PUBLISH', 'channel', '2')
    await until('the other hears', () => second.heard.length === 2)
    await endSecond()
    assert.equal(await scene.command('PUBLISH', 'channel', '3'), 0)
    assert.deepEqual([first.heard, second.heard], [['1'], ['1', '2']])
  },

  'who unsubscribed may subscribe again': async (scene) => {
    const recorder = new Recorder()
    for (const text of ['1', '2']) {
      const end = await scene.client.subscribe('channel', recorder)
      await scene.command('PUBLISH', 'channel', text)
      await until('it is heard', () => recorder.heard.includes(text))
      await end()
      await end()
      assert.equal(await scene.command('PUBLISH', 'channel', 'nobody'), 0)
    }
    assert.deepEqual(recorder.heard, ['1', '2'])
    assert.equal(await scene.client.command(['PING']), 'PONG')
  },

  'a subscription is restored after a lost connection, and says so': async (scene) => {
    const [kept, ended] = [new Recorder(), new Recorder()]
    await scene.client.subscribe('kept', kept)
    const end = await scene.client.subscribe('ended', ended)
    await end()
    for (const round of [1, 2]) {
      await scene.cutAll()
      await until('it is restored', () => kept.restorals >= round)
      assert.equal(await scene.command('PUBLISH', 'kept', String(round)), 1)
      await until('it is heard', () => kept.heard.length >= round)
    }
    assert.deepEqual(kept.heard, ['1', '2'])
    assert.equal(await scene.command('PUBLISH', 'ended', 'x'), 0)
    assert.deepEqual([ended.heard, ended.restorals], [[], 0])
    await untilAnswers(scene.client)
  },

  'close() ends subscriptions and the connections that the port opened': async (scene) => {
    const count = async (): Promise<number> =>
      String(await scene.command('CLIENT', 'LIST'))
        .trim()
        .split('\n').length
    const before = await count()
    await scene.client.subscribe('channel', silent)
    await scene.client.close()
    await until('nobody listens', async () => (await scene.command('PUBLISH', 'channel', 'x')) === 0)
    await until('no connection is left over', async () => (await count()) <= before)
    if (scene.ownerPing) assert.equal(await scene.ownerPing(), 'PONG')
  },
}

const refusesToSubscribe: Run = async ({ client }) => {
  await failsWith(client.subscribe('channel', silent), 'CONNECTION')
}

class Recorder implements ChannelListener {
  readonly heard: string[] = []
  restorals = 0

  message(payload: string): void {
    this.heard.push(payload)
  }

  restored(): void {
    this.restorals++
  }
}

const silent: ChannelListener = { message: () => {}, restored: () => {} }

async function failsWith(promise: Promise<unknown>, code: string, replyCode = ''): Promise<ClientError> {
  const error = await within('the rejection', promise).then(
    (value) => assert.fail(`resolved to ${inspect(value)}`),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof ClientError, `not a ClientError: ${inspect(error)}`)
  assert.deepEqual([error.code, error.replyCode], [code, replyCode], error.message)
  return error
}

/** Up, with a command answered; for a library that sends commands again, only up, because what blocks comes first. */
async function untilAnswers(client: RedisClient, onlyUp = false): Promise<void> {
  await until('the client answers again', async () => {
    if (!client.isUp) return false
    return onlyUp || client.command(['PING']).then(Boolean, () => false)
  })
}

/** What is printed, and what nobody handles, while a piece of work is done. */
async function noisesOf(work: () => Promise<void>): Promise<string[]> {
  const noises: string[] = []
  const writes = [process.stdout.write, process.stderr.write] as const
  const record = (chunk: unknown): boolean => noises.push(String(chunk)) > 0
  const onUnhandled = (reason: unknown): void => void noises.push(`unhandled: ${inspect(reason)}`)
  process.stdout.write = record
  process.stderr.write = record
  process.on('unhandledRejection', onUnhandled)
  try {
    await work()
  } finally {
    process.stdout.write = writes[0]
    process.stderr.write = writes[1]
    process.off('unhandledRejection', onUnhandled)
  }
  return noises
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, `waited ${PATIENCE_MS} ms in vain until ${what}`)
    await pause(5)
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new assert.AssertionError({ message: `waited ${PATIENCE_MS} ms in vain for ${what}` })), PATIENCE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
