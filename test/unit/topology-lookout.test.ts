import { beforeEach, describe, expect, test } from 'vitest'
import { Lookout } from '../../src/clients/topology/lookout.js'
import type { RedisTarget } from '../../src/redis-options.js'
import { FakeClock } from '../../src/testing/fake-clock.js'

const target = (describe: string): RedisTarget => ({ options: {}, describe })

let clock: FakeClock
let primary: string | Error
let finds: number
let moves: string[]
let closed: number
let news: () => void

beforeEach(() => {
  clock = new FakeClock()
  primary = 'a:1'
  finds = 0
  moves = []
  closed = 0
})

function lookout(doubtAfterMs?: number): Lookout {
  const finder = {
    async find() {
      finds += 1
      if (primary instanceof Error) throw primary
      return target(primary)
    },
    listen: (heard: () => void) => {
      news = heard
    },
    async close() {
      closed += 1
    },
  }
  return new Lookout(finder, clock, (reason) => moves.push(reason), doubtAfterMs)
}

describe('it looks', () => {
  test('whenever a connection is to be made', async () => {
    const at = lookout()
    expect(at.describe).toBe('the primary')
    expect((await at.locate()).describe).toBe('a:1')
    primary = 'b:1'
    expect((await at.locate()).describe).toBe('b:1')
    expect(at.describe).toBe('b:1')
    // Whoever makes the connection knows.
    expect(moves).toEqual([])
  })

  test('each second while requests are made, and for a minute after the last', async () => {
    const at = lookout()
    await at.locate()
    at.use(true)
    await clock.advance(5_000)
    expect(finds).toBe(6)
    at.use(false)
    await clock.advance(120_000)
    expect(finds).toBeLessThan(70)
    expect(clock.pending).toBe(0)
    at.use(true)
    await clock.advance(1_000)
    expect(clock.pending).toBe(1)
    await at.close()
    expect(clock.pending).toBe(0)
    expect(closed).toBe(1)
  })

  test('when it is told to, and when it hears something; once, for all who ask at the same time', async () => {
    const at = lookout()
    await at.locate()
    news()
    at.look()
    at.look()
    await clock.advance(0)
    expect(finds).toBe(2)
  })

  test('not before there was a connection, and not after the end', async () => {
    const at = lookout()
    at.look()
    expect(finds).toBe(0)
    await at.locate()
    await at.close()
    at.look()
    at.use(true)
    await clock.advance(5_000)
    expect(finds).toBe(1)
  })
})

describe('it tells', () => {
  test('that the primary moved, once, with both addresses', async () => {
    const at = lookout()
    await at.locate()
    at.use(true)
    await clock.advance(2_000)
    expect(moves).toEqual([])
    primary = 'b:1'
    await clock.advance(3_000)
    expect(moves).toEqual(['the primary is b:1 now, and not a:1'])
  })

  test('nothing while nobody knows where the primary is: the connection is the better witness', async () => {
    const at = lookout()
    await at.locate()
    at.use(true)
    primary = new Error('no primary')
    await clock.advance(30_000)
    expect(moves).toEqual([])
    await expect(at.locate()).rejects.toThrow('no primary')
  })

  test('unless others may have another by then', async () => {
    const at = lookout(5_000)
    await at.locate()
    at.use(true)
    await clock.advance(10_000)
    primary = new Error('no majority')
    await clock.advance(4_000)
    expect(moves).toEqual([])
    await clock.advance(2_000)
    expect(moves).toEqual(['no majority'])
  })
})
