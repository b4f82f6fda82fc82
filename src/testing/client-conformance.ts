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
  /**
   * One command on a connection of its own, which is none of the port's. Cases flush the server's data and end its other connections. On a
   * Cluster FLUSHALL and CLIENT go to every node (lists one behind the other), PUBLISH tells how many hear on all of them, and everything else
   * goes to the node that has its first argument.
   */
  command(...args: string[]): Promise<unknown>
  /** True where it is a Cluster that the port is connected to. */
  readonly isCluster?: boolean | undefined
  /** True for libraries that send unanswered commands again after a lost connection. */
  readonly resends?: boolean | undefined
  /** True for libraries that tell nobody of a lost connection, so that only a command that fails shows it. */
  readonly silent?: boolean | undefined
  /** The reason why a library does not keep the order of commands that are under way at the same time, where it does not. */
  readonly unordered?: string | undefined
}

interface Scene extends ClientUnderTest {
  readonly silent: boolean
  readonly keepsOrder: boolean
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

/**
 * The cases of the contract in `RedisClient`.
 *
 * @param wake what the port under test says of itself: without it, what needs messages is left out with a reason
 */
export function clientConformance(harness: ClientHarness, wake: RedisClient['wake']): ConformanceCase[] {
  const all = {
    ...commandCases,
    ...connectionCases(harness.resends ?? false),
    ...(wake === 'none' ? { 'refuses to subscribe': refusesToSubscribe } : {}),
    ...messageCases,
    ...(harness.isCluster ? shardedCases : {}),
  }
  const skips = new Map(skipped(harness, wake).flatMap(([reason, cases]) => Object.keys(cases).map((name) => [name, reason])))
  return Object.entries(all).map(([name, run]) => ({ name, skip: skips.get(name), run: () => play(harness, run) }))
}

/** Cases that can't be run, with the reason. */
function skipped({ isCluster, unordered }: ClientHarness, wake: RedisClient['wake']): [string, Record<string, unknown>][] {
  const skips: [string, Record<string, unknown>][] = []
  if (unordered !== undefined) skips.push([unordered, orderCases])
  if (isCluster) skips.push(['on a Cluster a client is up while it can reach any node', lossCases])
  if (isCluster) skips.push(['on a Cluster PUBLISH counts who hears on one node only', countCases])
  if (wake === 'none') skips.push(['its library has no connection that hears messages', { ...messageCases, ...shardedCases }])
  return skips
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
    await run({
      ...made,
      silent: harness.silent ?? false,
      keepsOrder: harness.unordered === undefined,
      command: (...args) => harness.command(...args),
      cutAll,
    })
  } finally {
    await made.client.close()
    await made.dispose()
  }
}

const orderCases: Record<string, Run> = {
  'commands are carried out in the order of their sending': async ({ client }) => {
    const replies = await Promise.all(Array.from({ length: 500 }, () => client.command(['INCR', 'counter'], 'counter')))
    assert.deepEqual(
      replies.map(Number),
      [...replies.keys()].map((index) => index + 1),
    )
  },
}

const commandCases: Record<string, Run> = {
  ...orderCases,

  'a command resolves to its reply': async ({ client }) => {
    assert.equal(await client.command(['SET', 'key', 'value'], 'key'), 'OK')
    assert.equal(await client.command(['GET', 'key'], 'key'), 'value')
    assert.equal(Number(await client.command(['INCR', 'counter'], 'counter')), 1)
    assert.equal(await client.command(['GET', 'absent'], 'absent'), null)
    const nested = await client.command(['EVAL', SCRIPT.nested, '0'], 'key')
    assert.deepEqual(nested, [1, 'two', [3, 'four'], [], [5], 'six', null])
  },

  'arguments arrive as they are': async ({ client }) => {
    const texts = ['', ' ', 'a b', '"', "'", '{x}', '\r\n', '\0', 'ünïcödé 鍵 🔒', 'x'.repeat(100_000)]
    assert.deepEqual(await client.command(['EVAL', SCRIPT.echo, '0', ...texts], 'key'), texts)
  },

  'an error reply rejects with its code': async ({ client }) => {
    await client.command(['SET', 'text', 'x'], 'text')
    await failsWith(client.command(['EVALSHA', '0'.repeat(40), '0'], 'key'), 'REPLY', 'NOSCRIPT')
    await failsWith(client.command(['INCRBY', 'text', '1'], 'text'), 'REPLY', 'ERR')
    await failsWith(client.command(['LPUSH', 'text', '1'], 'text'), 'REPLY', 'WRONGTYPE')
    const error = await failsWith(client.command(['EVAL', SCRIPT.fail, '0'], 'key'), 'REPLY', 'CUSTOM_CODE')
    assert.match(error.message, /^CUSTOM_CODE.*with a text/)
  },

  'no error carries arguments': async ({ client }) => {
    const errors = [
      await failsWith(client.command(['EVALSHA', '0'.repeat(40), '0', SECRET], 'key'), 'REPLY', 'NOSCRIPT'),
      await failsWith(client.command(['NO-SUCH-COMMAND', SECRET]), 'REPLY', 'ERR'),
    ]
    for (const error of errors) assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(SECRET), error.message)
  },
}

const lossCases: Record<string, Run> = {
  'a lost connection comes back, and both are told': async (scene) => {
    const { client } = scene
    const heard: string[] = []
    const stop = client.watch({
      up: () => heard.push(`up ${client.isUp}`),
      down: (error) => heard.push(`down ${client.isUp} ${error instanceof ClientError}`),
    })
    await cutWithACommandUnderWay(scene)
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
      client.watch({ up: () => {}, down: () => resolve(client.command(['SET', 'late', '1'], 'late').catch((error: unknown) => error)) })
    })
    await cutWithACommandUnderWay(scene)
    const error = await within('the rejection', rejected)
    assert.ok(error instanceof ClientError && error.code === 'CONNECTION', String(error))
    await untilAnswers(client)
    assert.equal(await client.command(['GET', 'late'], 'late'), null, 'it must not be carried out later')
  },
}

const connectionCases = (resends: boolean): Record<string, Run> => ({
  ...lossCases,

  [resends ? 'a command whose reply was lost is sent again' : 'a command whose reply was lost rejects']: async (scene) => {
    const { client } = scene
    // The reply is lost because it does not come before the connection ends.
    const { reply } = await blocked(scene)
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

const countCases: Record<string, Run> = {
  'the number of receivers that a script sees counts the subscriber': async ({ client }) => {
    await client.subscribe('channel', silent)
    const publish = "return redis.call('PUBLISH', 'channel', 'x')"
    assert.equal(await client.command(['EVAL', publish, '0'], 'channel'), 1)
  },
}

const messageCases: Record<string, Run> = {
  ...countCases,

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

  'commands and messages do not disturb each other': async (scene) => {
    const { client } = scene
    const recorder = new Recorder()
    await client.subscribe('channel', recorder)
    const publish = "redis.call('PUBLISH', 'channel', ARGV[1]) return {ARGV[1], 'message', 'channel'}"
    const numbers = Array.from({ length: 300 }, (_, index) => String(index))
    const replies = await Promise.all(numbers.map((number) => client.command(['EVAL', publish, '0', number], 'channel')))
    assert.deepEqual(
      replies,
      numbers.map((number) => [number, 'message', 'channel']),
    )
    await until('all is heard', () => recorder.heard.length >= numbers.length)
    if (!scene.keepsOrder) recorder.heard.sort((one, other) => Number(one) - Number(other))
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

/** Ends every connection; where the library is silent, while one of its commands waits for a reply. */
async function cutWithACommandUnderWay(scene: Scene): Promise<void> {
  if (scene.silent) await blocked(scene)
  await scene.cutAll()
}

/** A command that the server does not answer. */
async function blocked({ client, command }: Scene): Promise<{ reply: Promise<unknown> }> {
  const reply = client.command(['BLPOP', 'list', '0'], 'list')
  reply.catch(() => {})
  await until('the command waits', async () => /cmd=blpop/.test(String(await command('CLIENT', 'LIST'))))
  // In an object, because a promise would be waited for.
  return { reply }
}

const shardedCases: Record<string, Run> = {
  'a sharded subscriber hears what a script publishes, and is counted': async ({ client }) => {
    const [mine, other] = [new Recorder(), new Recorder()]
    const end = await sharded(client, '{a}:mine', mine)
    await sharded(client, '{b}:other', other)
    const publish = "return redis.call('SPUBLISH', KEYS[1], ARGV[1])"
    for (const text of ['1', '2']) assert.equal(await client.command(['EVAL', publish, '1', '{a}:mine', text], '{a}:mine'), 1)
    assert.equal(await client.command(['EVAL', publish, '1', '{b}:other', '3'], '{b}:other'), 1)
    await until('all is heard', () => mine.heard.length >= 2 && other.heard.length >= 1)
    assert.deepEqual([mine.heard, other.heard], [['1', '2'], ['3']])
    await end()
    assert.equal(await client.command(['EVAL', publish, '1', '{a}:mine', '4'], '{a}:mine'), 0)
  },

  'a sharded subscription is restored after a lost connection, and says so': async (scene) => {
    const recorder = new Recorder()
    await sharded(scene.client, '{a}:kept', recorder)
    await scene.cutAll()
    await until('it is restored', () => recorder.restorals >= 1)
    await untilAnswers(scene.client)
    assert.equal(await scene.client.command(['SPUBLISH', '{a}:kept', 'x'], '{a}:kept'), 1)
    await until('it is heard', () => recorder.heard.length >= 1)
    assert.deepEqual(recorder.heard, ['x'])
  },
}

function sharded(client: RedisClient, channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
  assert.ok(client.subscribeSharded, 'it has no subscribeSharded()')
  return client.subscribeSharded(channel, listener)
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
