import { beforeEach, describe, expect, test } from 'vitest'
import { ClientError } from '../../src/clients/client.js'
import { BySentinels } from '../../src/clients/topology/by-sentinels.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeClient } from '../support/fake-client.js'
import { turn } from '../support/fake-store.js'

/** A sentinel whose every answer the test gives. */
class FakeSentinel extends FakeClient {
  away = false

  async opened(): Promise<void> {
    if (this.away) throw new ClientError('CONNECTION', 'connect ECONNREFUSED')
  }

  /** Answers what it is asked at a look. */
  async say(port: number, epoch: number): Promise<void> {
    await this.take('SENTINEL').reply(['10.0.0.1', String(port)])
    await this.take('SENTINEL').reply(['name', 'm', 'config-epoch', String(epoch)])
  }
}

let clock: FakeClock
let sentinels: FakeSentinel[]
let finder: BySentinels

beforeEach(() => {
  clock = new FakeClock()
  sentinels = [new FakeSentinel(), new FakeSentinel(), new FakeSentinel()]
  const named = sentinels.map((client, i) => ({ client, describe: `s${i}:26379` }))
  const targetAt = (host: string, port: number) => ({ options: {}, describe: `${host}:${port}` })
  finder = new BySentinels({ sentinels: named, name: 'm', targetAt }, clock)
})

async function look(...words: ([port: number, epoch: number] | undefined)[]): Promise<string> {
  const found = finder.find().then(
    ({ describe: address }) => address,
    (error: Error) => error.message,
  )
  await turn()
  for (const [i, word] of words.entries()) if (word !== undefined) await sentinels[i]?.say(...word)
  await clock.advance(2_000)
  return found
}

describe('where the primary is', () => {
  test('is what the sentinel says that knows of the latest failover', async () => {
    expect(await look([1, 0], [2, 1], [1, 0])).toBe('10.0.0.1:2')
  })

  test('does not go back when the one that knew is away', async () => {
    expect(await look([1, 0], [2, 1], [1, 0])).toBe('10.0.0.1:2')
    expect(await look([1, 0], undefined, [1, 0])).toBe('10.0.0.1:2')
    expect(await look([1, 2], [2, 1], [1, 2])).toBe('10.0.0.1:1')
  })

  test('is believed again when a majority knows nothing of that failover for ten seconds: the sentinels are new', async () => {
    expect(await look([1, 5], [1, 5], [1, 5])).toBe('10.0.0.1:1')
    for (let i = 0; i < 5; i++) expect(await look([2, 0], [2, 0], [2, 0])).toBe('10.0.0.1:1')
    for (const sentinel of sentinels.slice(1)) sentinel.away = true
    expect(await look([2, 0])).toBe('10.0.0.1:1')
    for (const sentinel of sentinels) sentinel.away = false
    expect(await look([2, 0], [2, 0], [2, 0])).toBe('10.0.0.1:2')
    // Each time anew.
    expect(await look([1, 5], [2, 0], [2, 0])).toBe('10.0.0.1:1')
    expect(await look([2, 0], [2, 0], [2, 0])).toBe('10.0.0.1:1')
  })

  test('may change without a failover: somebody reconfigured them', async () => {
    expect(await look([1, 0], [1, 0], [1, 0])).toBe('10.0.0.1:1')
    expect(await look([2, 0], [2, 0], [2, 0])).toBe('10.0.0.1:2')
  })

  test('is told by one that is left', async () => {
    for (const sentinel of sentinels.slice(1)) sentinel.away = true
    expect(await look([1, 0])).toBe('10.0.0.1:1')
  })

  test('is known within a moment of two answers, and within a second of one; a silent one is given up', async () => {
    const found = finder.find()
    let settled = false
    void found.then(() => {
      settled = true
    })
    await turn()
    await sentinels[0]?.say(1, 0)
    await clock.advance(500)
    expect(settled).toBe(false)
    await sentinels[1]?.say(1, 0)
    await clock.advance(100)
    expect(settled).toBe(true)
    await clock.advance(1_000)
    expect(sentinels.map(({ reconnects }) => reconnects)).toEqual([0, 0, 1])
  })

  test('is not known when nobody tells: each is named with its reason', async () => {
    for (const sentinel of sentinels.slice(1)) sentinel.away = true
    const found = finder.find().catch((error: Error) => error.message)
    await turn()
    await sentinels[0]?.take('SENTINEL').reply(null)
    await sentinels[0]?.take('SENTINEL').fail(new ClientError('REPLY', 'ERR No such master with that name', 'ERR'))
    const text = await found
    for (const [i, reason] of ['No such master', 'ECONNREFUSED', 'ECONNREFUSED'].entries()) {
      expect(text).toContain(`s${i}:26379`)
      expect(text).toContain(reason)
    }
  })
})

test('news are heard on the channels of each, also from one that was away at first, and no more after close()', async () => {
  let news = 0
  const late = sentinels[2] as FakeSentinel
  late.subscribeError = new ClientError('CONNECTION', 'away')
  finder.listen(() => (news += 1))
  await turn()
  expect([...(sentinels[0]?.channels.keys() ?? [])].sort()).toEqual(['+promoted-slave', '+switch-master'])
  sentinels[0]?.channels.get('+switch-master')?.message('m 10.0.0.1 1 10.0.0.1 2')
  expect(news).toBe(1)
  expect(late.channels.size).toBe(0)
  late.subscribeError = undefined
  for (const watcher of late.watchers) watcher.up()
  await turn()
  expect(late.channels.size).toBe(2)
  await finder.close()
  expect(sentinels.map(({ watchers, closed }) => [watchers.size, closed])).toEqual([
    [0, 1],
    [0, 1],
    [0, 1],
  ])
})
