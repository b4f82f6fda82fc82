import { beforeEach, describe, expect, test, vi } from 'vitest'
import { EXCLUSIVE } from '../../src/primitives/recipe.js'
import { parseSerialized } from '../../src/primitives/serialized.js'
import { makeClaims } from '../support/claims.js'
import { turn, unreachable } from '../support/fake-store.js'

/** How claims change hands, and how they end with their locksmith. */

let { clock, store, claims, granted, serve } = makeClaims()

beforeEach(() => {
  ;({ clock, store, claims, granted, serve } = makeClaims())
})

describe('restore', () => {
  const serialized = async (names: string[]) => {
    const other = makeClaims({ clock, pid: 2 })
    other.serve()
    const text = (await other.claims.acquire(names, EXCLUSIVE, { ttlMs: 5_000 })).serialize()
    return text
  }

  test('takes the lock over with its id, token and lease', async () => {
    const text = await serialized(['a'])
    const restoring = claims.restore(text)
    const renewal = store.take('renew')
    expect(renewal.args).toEqual(['a', parseSerialized(text)[0]?.id, 5_000, undefined, undefined])
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
