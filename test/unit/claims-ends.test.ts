import { beforeEach, describe, expect, test, vi } from 'vitest'
import { ACQUIRE_DEFAULTS } from '../../src/options.js'
import { Claims } from '../../src/primitives/claims.js'
import { EXCLUSIVE } from '../../src/primitives/recipe.js'
import { parseSerialized } from '../../src/primitives/serialized.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeStore, turn, unreachable } from '../support/fake-store.js'

/** How claims change hands, and how they end with their locksmith. */

const TTL_MS = 30_000

let clock: FakeClock
let store: FakeStore
let claims: Claims

beforeEach(() => {
  clock = new FakeClock()
  store = new FakeStore()
  claims = new Claims(store, clock, ACQUIRE_DEFAULTS, { label: undefined, host: 'h', pid: 1 })
})

const granted = () => ({ status: 'granted' as const, fencingToken: 7, validUntilMs: clock.now() + TTL_MS })

/** Answers everything as a server does that nobody else uses. */
function serve(): void {
  store.answer('acquire', granted)
  store.answer('release', () => ({ status: 'released' }))
  store.answer('renew', (_name, _id, ttlMs) => ({ status: 'held', validUntilMs: clock.now() + ttlMs }))
}

describe('restore', () => {
  const serialized = async (names: string[]) => {
    const other = new Claims(store, clock, ACQUIRE_DEFAULTS, { label: undefined, host: 'h', pid: 2 })
    serve()
    const text = (await other.acquire(names, EXCLUSIVE, { ttlMs: 5_000 })).serialize()
    store = new FakeStore()
    claims = new Claims(store, clock, ACQUIRE_DEFAULTS, { label: undefined, host: 'h', pid: 1 })
    return text
  }

  test('takes the lock over with its id, token and lease', async () => {
    const text = await serialized(['a'])
    const restoring = claims.restore(text)
    const renewal = store.take('renew')
    expect(renewal.args).toEqual(['a', parseSerialized(text)[0]?.id, 5_000])
    await renewal.reply({ status: 'held', validUntilMs: clock.now() + 5_000 })
    expect(await restoring).toMatchObject({ name: 'a', fencingToken: 7, state: 'held', remainingMs: 4_940 })
  })

  test('of several is one lock again', async () => {
    const text = await serialized(['b', 'a'])
    serve()
    expect(await claims.restore(text)).toMatchObject({ names: ['a', 'b'], state: 'held' })
  })

  test('of a lock that was lost is a loss', async () => {
    const text = await serialized(['a'])
    store.answer('renew', () => ({ status: 'lost' }))
    const before = clock.pending
    await expect(claims.restore(text)).rejects.toMatchObject({ code: 'LOCK_LOST', key: 'a' })
    expect(clock.pending).toBe(before)
  })

  test('of several of which one was lost keeps none of them', async () => {
    const text = await serialized(['a', 'b'])
    store.answer('renew', (name) => (name === 'a' ? { status: 'held', validUntilMs: clock.now() + 5_000 } : { status: 'lost' }))
    const before = clock.pending
    await expect(claims.restore(text)).rejects.toMatchObject({ code: 'LOCK_LOST', key: 'b' })
    expect(clock.pending).toBe(before)
  })

  test('with the server away says so', async () => {
    const text = await serialized(['a'])
    const restoring = expect(claims.restore(text)).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE', key: 'a' })
    await store.take('renew').fail(unreachable())
    await restoring
  })

  test('while the locksmith is closed keeps nothing', async () => {
    const text = await serialized(['a'])
    const restoring = expect(claims.restore(text)).rejects.toMatchObject({ code: 'LOCK_CLOSED' })
    const renewal = store.take('renew')
    await claims.close()
    const before = clock.pending
    await renewal.reply({ status: 'held', validUntilMs: clock.now() + 5_000 })
    await restoring
    expect(clock.pending).toBe(before)
    await expect(claims.restore(text)).rejects.toMatchObject({ code: 'LOCK_CLOSED' })
  })
})

describe('close', () => {
  test('waits for a release that is under way', async () => {
    store.answer('acquire', granted)
    const lock = await claims.acquire(['a'], EXCLUSIVE, {})
    const releasing = lock.release()
    const closed = vi.fn()
    const closing = claims.close().then(closed)
    await turn()
    expect(closed).not.toHaveBeenCalled()
    await store.take('release').reply({ status: 'released' })
    await closing
    await expect(releasing).resolves.toEqual({ released: true })
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])('waits for what was granted %d microtasks ago to be given back', async (microtasks) => {
    const acquiring = claims.acquire(['a'], EXCLUSIVE, {}).then(
      (lock) => lock.state,
      (error) => error.code,
    )
    await turn()
    const closed = vi.fn()
    const replying = store.take('acquire').reply(granted())
    for (let i = 0; i < microtasks; i++) await Promise.resolve()
    void claims.close().then(closed)
    await replying
    expect(closed).not.toHaveBeenCalled()
    await store.take('release').reply({ status: 'released' })
    expect(closed).toHaveBeenCalled()
    expect(store.open).toEqual([])
    expect(['LOCK_CLOSED', 'released', 'held']).toContain(await acquiring)
  })

  test('does not wait for a server that does not answer', async () => {
    store.answer('acquire', granted)
    await claims.acquire(['a'], EXCLUSIVE, {})
    const closed = vi.fn()
    void claims.close().then(closed)
    await clock.advance(1_999)
    expect(closed).not.toHaveBeenCalled()
    await clock.advance(1)
    expect(closed).toHaveBeenCalled()
    expect(store.left).toBe(1)
  })

  test('ends the listening, and leaves no timer', async () => {
    serve()
    const lock = await claims.acquire(['a'], EXCLUSIVE, {})
    await claims.close()
    expect([store.left, clock.pending, lock.state]).toEqual([1, 0, 'released'])
    await expect(claims.acquire(['a'], EXCLUSIVE, {})).rejects.toMatchObject({ code: 'LOCK_CLOSED', key: 'a' })
  })
})
