import { describe, expect, test } from 'vitest'
import { LockOptionError } from '../../src/errors.js'
import { type ClaimRequest, MemoryStore, type SessionListener } from '../../src/memory.js'
import { FakeClock } from '../../src/testing/fake-clock.js'

/** What the conformance suite can't say: it holds for the memory store, or needs hours. */

const HOUR_MS = 3_600_000

function request(id: string, overrides: Partial<ClaimRequest> = {}): ClaimRequest {
  const usual = {
    name: 'name',
    mode: 'exclusive',
    permits: 1,
    limit: 0,
    ttlMs: 10_000,
    priority: 0,
    ticket: 0,
    queue: true,
    info: '',
  } as const
  return { id, ...usual, ...overrides }
}

function listener(granted: (id: string) => void): SessionListener {
  const nothing = () => {}
  return { granted, changed: nothing, othersWait: nothing, restored: nothing, disconnected: nothing, warning: nothing }
}

async function tokenOf(store: MemoryStore, claim: ClaimRequest): Promise<number> {
  const reply = await store.acquire(claim)
  if (reply.status !== 'granted') throw new Error(`not granted: ${reply.status}`)
  return reply.fencingToken
}

function setUp(options = {}) {
  const clock = new FakeClock()
  return { clock, store: new MemoryStore({ clock, ...options }) }
}

describe('fencing tokens', () => {
  test('are microseconds of wall time, as a server gives them, and go on with the monotonic clock', async () => {
    const before = Date.now() * 1_000
    const { clock, store } = setUp()
    const first = await tokenOf(store, request('a.1'))
    expect(first).toBeGreaterThanOrEqual(before)
    expect(first).toBeLessThanOrEqual(Date.now() * 1_000)
    await clock.advance(60_000)
    expect(await tokenOf(store, request('a.2'))).toBe(first + 60_000_000)
  })

  test('are remembered for an hour after the last use, and then forgotten with the name', async () => {
    const { clock, store } = setUp()
    await tokenOf(store, request('a.1', { ttlMs: 2 * HOUR_MS }))
    await clock.advance(2.5 * HOUR_MS)
    await store.query({})
    expect(store.size).toBe(1)
    await clock.advance(HOUR_MS)
    await store.query({})
    expect(store.size).toBe(0)
  })
})

describe('what it remembers', () => {
  test('grows neither with time nor with what was asked of unused names', async () => {
    const { clock, store } = setUp()
    for (let i = 0; i < 1_000; i++) {
      const name = `name ${i}`
      await store.renew(name, 'a.1', 10)
      await store.forceRelease(name)
      await store.query({ name })
      await store.release(name, 'a.1')
    }
    expect(store.size).toBe(0)
    for (let i = 0; i < 1_000; i++) {
      const name = `name ${i}`
      await store.acquire(request('a.1', { name }))
      await store.acquire(request('b.1', { name }))
      await store.release(`withdrawn ${i}`, 'c.1', { withdraw: true })
      await clock.advance(10_000)
    }
    expect(store.size).toBeLessThan(2 * 400)
    await clock.advance(2 * HOUR_MS)
    await store.query({})
    expect(store.size).toBe(0)
  })

  test('a withdrawn id is refused for half a minute', async () => {
    const { clock, store } = setUp()
    await store.release('name', 'a.1', { withdraw: true })
    await clock.advance(29_999)
    expect(await store.acquire(request('a.1'))).toEqual({ status: 'withdrawn' })
    await clock.advance(1)
    expect(await store.acquire(request('a.1'))).toMatchObject({ status: 'granted' })
  })

  test('sets no timer', async () => {
    const { clock, store } = setUp()
    await store.acquire(request('a.1'))
    await store.acquire(request('b.1'))
    expect(clock.pending).toBe(0)
  })
})

describe('a kept name', () => {
  test('is nobody’s: not to be renewed, and its old request finds it taken', async () => {
    const { clock, store } = setUp()
    await store.acquire(request('a.1'))
    await store.release('name', 'a.1', { keepMs: 1_000 })
    expect(await store.renew('name', 'a.1', 10_000)).toEqual({ status: 'lost' })
    expect(await store.acquire({ ...request('a.1'), queue: false })).toEqual({ status: 'busy' })
    await clock.advance(1_000)
    expect(await store.acquire(request('b.1'))).toMatchObject({ status: 'granted' })
  })

  test('is not kept for longer because the release was sent twice', async () => {
    const { clock, store } = setUp()
    await store.acquire(request('a.1'))
    await store.release('name', 'a.1', { keepMs: 1_000 })
    await clock.advance(900)
    expect(await store.release('name', 'a.1', { keepMs: 1_000 })).toEqual({ status: 'absent' })
    await clock.advance(100)
    expect(await store.acquire(request('b.1'))).toMatchObject({ status: 'granted' })
  })
})

describe('sessions', () => {
  test('hear of a grant after the operation that caused it', async () => {
    const { store } = setUp()
    const heard: string[] = []
    await store.listen(
      'b',
      listener((id) => heard.push(id)),
    )
    await store.acquire(request('a.1'))
    await store.acquire(request('b.1'))
    const released = store.release('name', 'a.1')
    expect(heard).toEqual([])
    await released
    await Promise.resolve()
    expect(heard).toEqual(['b.1'])
  })

  test('that began to listen anew are not ended by the end of the first time', async () => {
    const { store } = setUp()
    const heard: string[] = []
    const leaveFirst = await store.listen(
      'b',
      listener(() => {}),
    )
    await store.listen(
      'b',
      listener((id) => heard.push(id)),
    )
    await leaveFirst()
    await store.acquire(request('a.1'))
    await store.acquire(request('b.1'))
    await store.release('name', 'a.1')
    await Promise.resolve()
    expect(heard).toEqual(['b.1'])
  })
})

test.each(['claimWindowMs', 'checkEveryMs', 'waiterLifeMs'])('%s is a whole number of milliseconds', (option) => {
  for (const value of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 35, '5', null]) {
    expect(() => new MemoryStore({ [option]: value })).toThrow(LockOptionError)
  }
  expect(() => new MemoryStore({ [option]: 1 })).not.toThrow()
  expect(() => new MemoryStore({ [option]: undefined })).not.toThrow()
})

test('an option that it does not know is refused', () => {
  expect(() => new MemoryStore({ claimWindow: 5 } as object)).toThrow(/claimWindow is not an option of MemoryStore/)
})

test('the process’s own clock is the default', async () => {
  const store = new MemoryStore()
  const beforeMs = performance.now()
  const reply = await store.acquire(request('a.1', { ttlMs: 1_000 }))
  expect(reply.status === 'granted' && reply.validUntilMs).toBeGreaterThanOrEqual(beforeMs + 1_000)
  expect(reply.status === 'granted' && reply.validUntilMs).toBeLessThanOrEqual(performance.now() + 1_000)
  expect(store).toMatchObject({ claimWindowMs: 5_000, checkEveryMs: 2_000, hasAnswered: true })
})
