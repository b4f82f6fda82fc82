import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Claim } from '../../src/acquire/claim.js'
import { WaitingRoom } from '../../src/acquire/waiting-room.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { HAND_OVER } from '../support/claims.js'
import { FakeStore, turn, unreachable } from '../support/fake-store.js'

const CLAIM: Claim = { name: 'a', mode: 'exclusive', permits: 1, limit: 0, ttlMs: 30_000, priority: 0, info: '' }

let clock: FakeClock
let store: FakeStore
let room: WaitingRoom
let controller: AbortController

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  clock = new FakeClock()
  store = new FakeStore()
  room = new WaitingRoom(store, 'session', clock, HAND_OVER, () => undefined)
  controller = new AbortController()
})

afterEach(() => {
  vi.restoreAllMocks()
})

const enter = () => room.enter(CLAIM, { waitMs: Number.POSITIVE_INFINITY, signal: controller.signal })
const granted = () => ({ status: 'granted' as const, fencingToken: 7, validUntilMs: clock.now() + 30_000 })
const waiting = () => ({ status: 'waiting' as const, ticket: 5, nextEndMs: clock.now() + 60_000 })

function expectEmpty(): void {
  const { byId, byName, takingBack } = room as unknown as Record<string, { size: number }>
  expect([byId?.size, byName?.size, takingBack?.size, clock.pending]).toEqual([0, 0, 0, 0])
}

describe('an abort', () => {
  test('before the claim rejects with the reason and sends nothing', async () => {
    controller.abort('reason')
    await expect(enter()).rejects.toBe('reason')
    expect(store.open).toEqual([])
    expectEmpty()
  })

  test('while the request is under way rejects at once, and takes it back', async () => {
    const entry = expect(enter()).rejects.toBe('reason')
    const request = store.take('acquire')
    controller.abort('reason')
    await entry
    await store.take('release').reply({ status: 'absent' })
    await request.reply(granted())
    expectEmpty()
  })

  test('in the queue leaves it, until the server has said so', async () => {
    const entry = expect(enter()).rejects.toBe('reason')
    await store.take('acquire').reply(waiting())
    controller.abort('reason')
    await entry
    const release = store.take('release')
    expect(release.args).toEqual(['a', 'session.1', { withdraw: true }])
    await release.fail(unreachable())
    await clock.advance(1_000)
    await store.take('release').reply({ status: 'released' })
    expectEmpty()
  })

  test('after the grant has no effect, and leaves no listener', async () => {
    const remove = vi.spyOn(controller.signal, 'removeEventListener')
    const entry = enter()
    await store.take('acquire').reply(granted())
    expect(remove).toHaveBeenCalledTimes(1)
    controller.abort('reason')
    await expect(entry).resolves.toMatchObject({ claimId: 'session.1' })
    expect(store.open).toEqual([])
    expectEmpty()
  })

  test('of one of many leaves the others where they are', async () => {
    const other = room.enter({ ...CLAIM, name: 'b' }, { waitMs: Number.POSITIVE_INFINITY })
    const third = room.enter(CLAIM, { waitMs: Number.POSITIVE_INFINITY })
    const entry = expect(enter()).rejects.toBe('reason')
    await store.take('acquire').reply(waiting())
    await store.take('acquire').reply(waiting())
    controller.abort('reason')
    await entry
    room.onGranted('session.1', { fencingToken: 9, validUntilMs: clock.now() + 5_000 })
    await expect(other).resolves.toMatchObject({ claimId: 'session.1' })
    room.onGranted('session.2', { fencingToken: 9, validUntilMs: clock.now() + 5_000 })
    await expect(third).resolves.toMatchObject({ claimId: 'session.2' })
    expect(store.open).toEqual([])
  })

  test('takes back for as long as the lease may stand, and no longer', async () => {
    const entry = expect(enter()).rejects.toBe('reason')
    store.take('acquire')
    controller.abort('reason')
    await entry
    const releases = vi.spyOn(store, 'release').mockRejectedValue(unreachable())
    await store.take('release').fail(unreachable())
    await clock.advance(31_000)
    expect(releases.mock.calls.length).toBeGreaterThan(20)
    expectEmpty()
  })
})

describe('when the connection is back', () => {
  test('every claim is asked for again', async () => {
    void enter()
    void room.enter({ ...CLAIM, name: 'b' }, { waitMs: 5_000 })
    await store.take('acquire').reply(waiting())
    await store.take('acquire').reply(waiting())
    room.onRestored()
    expect([store.take('acquire').args[0].name, store.take('acquire').args[0].name]).toEqual(['a', 'b'])
  })
})

describe('a hint', () => {
  test('that comes while the request is under way is followed after that: the reply may be older', async () => {
    void enter()
    const request = store.take('acquire')
    room.onChanged('session.1')
    room.onChanged('session.1')
    expect(store.open).toEqual([])
    await request.reply(waiting())
    await store.take('acquire').reply(waiting())
    expect(store.open).toEqual([])
  })

  test('is not followed when that request was granted', async () => {
    void enter()
    const request = store.take('acquire')
    room.onChanged('session.1')
    await request.reply(granted())
    expect(store.open).toEqual([])
    expectEmpty()
  })
})

describe('closing', () => {
  test('rejects who waits, and who comes', async () => {
    const waiter = expect(enter()).rejects.toMatchObject({ code: 'LOCK_CLOSED', key: 'a' })
    await store.take('acquire').reply(waiting())
    store.answer('release', () => ({ status: 'absent' }))
    await room.close()
    await waiter
    await expect(enter()).rejects.toMatchObject({ code: 'LOCK_CLOSED', key: 'a' })
    await room.close()
    expectEmpty()
  })

  test('resolves when all has been taken back', async () => {
    enter().catch(() => {})
    await store.take('acquire').reply(waiting())
    const closed = vi.fn()
    void room.close().then(closed)
    await turn()
    expect(closed).not.toHaveBeenCalled()
    await store.take('release').reply({ status: 'absent' })
    expect(closed).toHaveBeenCalled()
  })
})
