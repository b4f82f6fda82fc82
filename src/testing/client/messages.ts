/** Cases: subscriptions, and what is heard on them. */

import assert from 'node:assert/strict'
import type { ChannelListener, RedisClient } from '../../clients/index.js'
import { type Cases, failsWith, Recorder, type Run, silent, until, untilAnswers } from './scene.js'

export const countCases: Cases = {
  'the number of receivers that a script sees counts the subscriber': async ({ client, channel }) => {
    await client.subscribe(channel, silent)
    const publish = "return redis.call('PUBLISH', ARGV[1], 'x')"
    assert.equal(await client.command(['EVAL', publish, '0', channel], channel), 1)
  },
}

export const messageCases: Cases = {
  ...countCases,

  'a subscriber hears what is published, in order, and only on its channel': async (scene) => {
    const mine = new Recorder()
    const other = new Recorder()
    await scene.client.subscribe(scene.channel, mine)
    await scene.client.subscribe(`${scene.channel}:other`, other)
    const texts = ['1', 'ünïcödé 鍵 🔒', '', '3']
    for (const text of texts) await scene.command('PUBLISH', scene.channel, text)
    await scene.command('PUBLISH', `${scene.channel}:other`, 'x')
    await until('all is heard', () => mine.heard.length >= 4 && other.heard.length >= 1)
    assert.deepEqual([mine.heard, other.heard], [texts, ['x']])
    assert.deepEqual([mine.restorals, other.restorals], [0, 0])
  },

  'commands and messages do not disturb each other': async (scene) => {
    const { client, channel } = scene
    const recorder = new Recorder()
    await client.subscribe(channel, recorder)
    const publish = "redis.call('PUBLISH', ARGV[1], ARGV[2]) return {ARGV[2], 'message', 'channel'}"
    const numbers = Array.from({ length: 300 }, (_, index) => String(index))
    const replies = await Promise.all(numbers.map((number) => client.command(['EVAL', publish, '0', channel, number], channel)))
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
    const end = await scene.client.subscribe(scene.channel, first)
    const endSecond = await scene.client.subscribe(scene.channel, second)
    await scene.command('PUBLISH', scene.channel, '1')
    await until('both hear', () => first.heard.length === 1 && second.heard.length === 1)
    await end()
    await scene.command('PUBLISH', scene.channel, '2')
    await until('the other hears', () => second.heard.length === 2)
    await endSecond()
    assert.equal(await scene.command('PUBLISH', scene.channel, '3'), 0)
    assert.deepEqual([first.heard, second.heard], [['1'], ['1', '2']])
  },

  'who unsubscribed may subscribe again': async (scene) => {
    const recorder = new Recorder()
    for (const text of ['1', '2']) {
      const end = await scene.client.subscribe(scene.channel, recorder)
      await scene.command('PUBLISH', scene.channel, text)
      await until('it is heard', () => recorder.heard.includes(text))
      await end()
      await end()
      assert.equal(await scene.command('PUBLISH', scene.channel, 'nobody'), 0)
    }
    assert.deepEqual(scene.heardBy(recorder), ['1', '2'])
    assert.equal(await scene.client.command(['PING']), 'PONG')
  },

  'a subscription is restored after a lost connection, and says so': async (scene) => {
    const [kept, ended] = [new Recorder(), new Recorder()]
    await scene.client.subscribe(scene.channel, kept)
    const end = await scene.client.subscribe(`${scene.channel}:ended`, ended)
    await end()
    for (const round of [1, 2]) {
      await scene.cutAll()
      await until('it is restored', () => kept.restorals >= round)
      assert.equal(await scene.command('PUBLISH', scene.channel, String(round)), 1)
      await until('it is heard', () => kept.heard.length >= round)
    }
    assert.deepEqual(scene.heardBy(kept), ['1', '2'])
    assert.equal(await scene.command('PUBLISH', `${scene.channel}:ended`, 'x'), 0)
    assert.deepEqual([ended.heard, ended.restorals], [[], 0])
    await untilAnswers(scene.client)
  },

  'close() ends subscriptions and the connections that the port opened': async (scene) => {
    const count = async (): Promise<number> =>
      String(await scene.command('CLIENT', 'LIST'))
        .trim()
        .split('\n').length
    const before = await count()
    await scene.client.subscribe(scene.channel, silent)
    await scene.client.close()
    await until('nobody listens', async () => (await scene.command('PUBLISH', scene.channel, 'x')) === 0)
    await until('no connection is left over', async () => (await count()) <= before)
    if (scene.ownerPing) assert.equal(await scene.ownerPing(), 'PONG')
  },
}

export const shardedCases: Cases = {
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

export const refusesToSubscribe: Run = async ({ client }) => {
  await failsWith(client.subscribe('channel', silent), 'CONNECTION')
}
