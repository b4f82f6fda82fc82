import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Claim, Patience } from '../../src/acquire/claim.js'
import { WaitingRoom } from '../../src/acquire/waiting-room.js'
import { StoreFailure } from '../../src/store/store.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { HAND_OVER } from '../support/claims.js'
import { FakeStore, refused, turn, unreachable } from '../support/fake-store.js'

const CLAIM: Claim = { name: 'a', mode: 'exclusive', permits: 1, limit: 0, ttlMs: 30_000, priority: 0, info: '' }
const FOREVER: Patience = { waitMs: Number.POSITIVE_INFINITY }
const ONCE: Patience = { waitMs: 0 }

let clock: FakeClock
let store: FakeStore
let room: WaitingRoom
let listening: Promise<void> | undefined

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  clock = new FakeClock()
  store = new FakeStore()
  listening = undefined
  room = new WaitingRoom(store, 'session', clock, HAND_OVER, () => listening)
})

afterEach(() => {
  vi.restoreAllMocks()
})

const granted = (validForMs = 30_000) => ({ status: 'granted' as const, fencingToken: 7, validUntilMs: clock.now() + validForMs })
const waiting = (endsInMs = 60_000, ticket = 5) => ({ status: 'waiting' as const, ticket, nextEndMs: clock.now() + endsInMs })

/** An entry, and what has become of it so far. */
function enter(patience: Patience, claim: Partial<Claim> = {}) {
  const state = { outcome: 'undecided' as 'undecided' | 'resolved' | 'rejected', value: undefined as any }
  room.enter({ ...CLAIM, ...claim }, patience).then(
    (value) => Object.assign(state, { outcome: 'resolved', value }),
    (value) => Object.assign(state, { outcome: 'rejected', value }),
  )
  return state
}

/** A claim that stands in the queue. */
async function enqueue(patience: Patience = FOREVER, claim: Partial<Claim> = {}) {
  const entry = enter(patience, claim)
  const request = store.take('acquire')
  await request.reply(waiting())
  return Object.assign(entry, { id: request.args[0].id })
}

/** Nothing of the claims is left in it. */
function expectEmpty(): void {
  const { byId, byName } = room as unknown as Record<string, Map<string, unknown>>
  expect([byId?.size, byName?.size, clock.pending]).toEqual([0, 0, 0])
}

describe('a claim', () => {
  test('is asked for with an id of its own and nothing forgotten', () => {
    enter(FOREVER)
    enter(ONCE)
    expect(store.take('acquire').args).toEqual([{ ...CLAIM, id: 'session.1', ticket: 0, queue: true }])
    expect(store.take('acquire').args).toEqual([{ ...CLAIM, id: 'session.2', ticket: 0, queue: false }])
  })

  test('that is granted at once is done', async () => {
    const entry = enter(FOREVER)
    const grant = granted()
    await store.take('acquire').reply(grant)
    expect(entry.value).toMatchObject({
      claimId: 'session.1',
      fencingToken: 7,
      tenure: { id: 'session.1', grant, pushed: false, stray: false },
    })
    expectEmpty()
  })

  test('waits until it is heard that its turn has come', async () => {
    const entry = await enqueue()
    await clock.advance(500)
    expect(entry.outcome).toBe('undecided')
    const grant = { fencingToken: 9, validUntilMs: clock.now() + 500 }
    room.onGranted(entry.id, grant)
    await turn()
    expect(entry.value).toMatchObject({ claimId: entry.id, fencingToken: 9, tenure: { id: entry.id, grant, pushed: true, stray: false } })
    expectEmpty()
  })

  test('is told of as waiting, once', async () => {
    const messages: unknown[] = []
    const listener = (message: unknown) => messages.push(message)
    subscribe('halocksmith:waiting', listener)
    const { id } = await enqueue()
    await clock.advance(1_900)
    await store.take('acquire').reply(waiting())
    unsubscribe('halocksmith:waiting', listener)
    expect(messages).toEqual([{ name: 'a', id }])
  })

  test('is asked for again with its place: regularly, and when a lease of the holders ends', async () => {
    const entry = enter(FOREVER)
    await store.take('acquire').reply(waiting(500, 77))
    await clock.advance(511)
    const again = store.take('acquire')
    expect(again.args[0]).toMatchObject({ id: 'session.1', ticket: 77 })
    await again.reply(waiting())
    await clock.advance(1_289)
    await store.take('acquire').reply(granted())
    expect(entry.value).toMatchObject({ tenure: { pushed: false } })
    expectEmpty()
  })

  test('with a short lease is asked for more often: whoever goes first may die with one as short', async () => {
    enter(FOREVER, { ttlMs: 1_000 })
    await store.take('acquire').reply(waiting())
    await clock.advance(449)
    expect(store.open).toEqual([])
    await clock.advance(1)
    expect(store.open).toEqual(['acquire'])
  })

  test('is not asked for twice at a time', async () => {
    const { id } = await enqueue()
    room.onChanged(id)
    room.onChanged(id)
    room.onRestored()
    expect(store.open).toEqual(['acquire'])
  })

  test('is not asked for before the session hears its grants', async () => {
    let heard = () => {}
    listening = new Promise((resolve) => (heard = resolve))
    enter(FOREVER)
    await turn()
    expect(store.open).toEqual([])
    heard()
    await turn()
    expect(store.open).toEqual(['acquire'])
  })

  test('that is in conflict with the limit in use says both', async () => {
    const entry = enter(FOREVER, { mode: 'counted', limit: 3 })
    await store.take('acquire').reply({ status: 'conflict', limit: 0 })
    expect(entry.value).toMatchObject({ code: 'LOCK_CONFLICT', key: 'a' })
    expect(entry.value.message).toBe('the name "a" is in use without a limit (by readers); it was asked for with the limit 3')
    expectEmpty()
  })

  test('whose place is taken by other data is in conflict', async () => {
    const entry = enter(FOREVER)
    await store.take('acquire').fail(new StoreFailure('conflict', 'p:{a} holds data of another type'))
    expect(entry.value).toMatchObject({ code: 'LOCK_CONFLICT', key: 'a', message: 'p:{a} holds data of another type' })
    expectEmpty()
    expect(store.open).toEqual([])
  })
})

describe('one attempt', () => {
  test('that finds the lock busy is null, and leaves nothing behind', async () => {
    const entry = enter(ONCE)
    await store.take('acquire').reply({ status: 'busy' })
    expect(entry).toMatchObject({ outcome: 'resolved', value: null })
    expect(store.open).toEqual([])
    expectEmpty()
  })

  test('that is not answered fails, and is taken back', async () => {
    const entry = enter(ONCE)
    await store.take('acquire').fail(unreachable())
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: 'a', cause: { kind: 'unreachable' } })
    expect(entry.value.message).toBe('the lock "a" could not be asked for: no connection')
    const release = store.take('release')
    expect(release.args).toEqual(['a', 'session.1', { withdraw: true }])
    await release.reply({ status: 'absent' })
    expectEmpty()
  })

  test('that could not be sent is not taken back', async () => {
    listening = Promise.reject(unreachable())
    const entry = enter(ONCE)
    await turn()
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(store.open).toEqual([])
    expectEmpty()
  })
})

describe('the end of the wait', () => {
  test('of a busy lock is null, and the claim is taken back', async () => {
    const entry = await enqueue({ waitMs: 1_500 })
    await clock.advance(1_499)
    expect(entry.outcome).toBe('undecided')
    await clock.advance(1)
    expect(entry).toMatchObject({ outcome: 'resolved', value: null })
    await store.take('release').reply({ status: 'absent' })
    expectEmpty()
  })

  test('does not come for a claim that was granted before', async () => {
    const entry = await enqueue({ waitMs: 1_500 })
    room.onGranted(entry.id, { fencingToken: 9, validUntilMs: clock.now() + 5_000 })
    await turn()
    expect(entry.outcome).toBe('resolved')
    expectEmpty()
  })

  test('when the server can not be reached says so, with the cause', async () => {
    const entry = enter({ waitMs: 150 })
    await store.take('acquire').fail(unreachable('connect ECONNREFUSED'))
    await clock.advance(100)
    await store.take('acquire').fail(unreachable('connect ECONNREFUSED'))
    await clock.advance(50)
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', cause: { message: 'connect ECONNREFUSED' } })
  })

  test('after the connection was lost says so, unless an answer came since', async () => {
    const [lost, answered] = [await enqueue({ waitMs: 1_000 }), await enqueue({ waitMs: 1_000 }, { name: 'b' })]
    room.onDisconnected(new Error('reset'))
    room.onChanged(answered.id)
    await store.take('acquire').reply(waiting())
    await clock.advance(1_000)
    expect(lost.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('reset') })
    expect(answered).toMatchObject({ outcome: 'resolved', value: null })
  })

  test('does not count the very first connection, up to five seconds', async () => {
    store.hasAnswered = false
    const entry = enter({ waitMs: 50 })
    await clock.advance(4_999)
    expect(entry.outcome).toBe('undecided')
    await clock.advance(1)
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('no answer') })
  })

  test.each([
    [5, 25],
    [200, 200],
  ])('of %d ms comes at most %d ms after the very first answer', async (waitMs, withinMs) => {
    store.hasAnswered = false
    const entry = enter({ waitMs })
    await clock.advance(3_000)
    store.hasAnswered = true
    await store.take('acquire').reply(waiting())
    expect(entry.outcome).toBe('undecided')
    await clock.advance(withinMs)
    expect(entry).toMatchObject({ outcome: 'resolved', value: null })
  })

  test('counts it when it has failed', async () => {
    store.hasAnswered = false
    const entry = enter({ waitMs: 50 })
    await store.take('acquire').fail(unreachable())
    await clock.advance(50)
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  })

  test('may be years away', async () => {
    const entry = await enqueue({ waitMs: 365 * 24 * 3_600_000 })
    expect(entry.outcome).toBe('undecided')
    expect(clock.pending).toBe(2)
  })
})

describe('a request that fails', () => {
  test('is made again after 100 ms, then ever later, up to the regular check', async () => {
    const entry = enter(FOREVER)
    for (const delayMs of [100, 200, 400, 800, 1_600, 2_000, 2_000]) {
      await store.take('acquire').fail(unreachable())
      // From a second on, it comes at the last multiple of 50 ms before that.
      const dueMs = clock.now() + delayMs * 0.9
      const atMs = delayMs < 1_000 ? dueMs : dueMs - (dueMs % 50)
      await clock.advance(atMs - clock.now() - 1)
      expect(store.open).toEqual([])
      await clock.advance(1)
    }
    await store.take('acquire').reply(granted())
    expect(entry.value).toMatchObject({ tenure: { stray: true } })
  })

  test('for good is told at once, and taken back', async () => {
    const entry = enter(FOREVER)
    await store.take('acquire').fail(refused())
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', cause: { kind: 'refused' } })
    expect(store.open).toEqual(['release'])
    await store.take('release').fail(refused())
    expectEmpty()
  })

  test('in an unforeseen way is told at once', async () => {
    const entry = enter(FOREVER)
    await store.take('acquire').fail('a bare text')
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('a bare text') })
  })

  test('because it was withdrawn is told', async () => {
    const entry = enter(FOREVER)
    await store.take('acquire').reply({ status: 'withdrawn' })
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('withdrawn') })
    expectEmpty()
  })
})

describe('a grant that is too old to be used', () => {
  test('is not used when it was pushed: the claim is asked for again', async () => {
    const entry = await enqueue()
    room.onGranted(entry.id, { fencingToken: 9, validUntilMs: clock.now() + 20 })
    expect(entry.outcome).toBe('undecided')
    await store.take('acquire').reply(granted())
    expect(entry.outcome).toBe('resolved')
  })

  test('is not used when it was the reply: the claim is asked for again a little later', async () => {
    const entry = enter(FOREVER)
    await store.take('acquire').reply(granted(20))
    expect(entry.outcome).toBe('undecided')
    await clock.advance(90)
    await store.take('acquire').reply(granted())
    expect(entry.outcome).toBe('resolved')
  })

  test('fails a single attempt, and is given back', async () => {
    const entry = enter(ONCE)
    await store.take('acquire').reply(granted(20))
    expect(entry.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('longer to arrive') })
    expect(store.open).toEqual(['release'])
  })
})

describe('what reaches a claim that was given up', () => {
  test('a grant is given back', async () => {
    const controller = new AbortController()
    const { id } = await enqueue({ ...FOREVER, signal: controller.signal })
    controller.abort()
    await store.take('release').reply({ status: 'absent' })
    room.onGranted(id, { fencingToken: 9, validUntilMs: clock.now() + 500 })
    // It was withdrawn: a second withdrawal that found nothing would leave a mark.
    expect(store.take('release').args).toEqual(['a', id, undefined])
  })

  test('a hint is nothing, and so is a grant for somebody unknown', async () => {
    room.onChanged('session.99')
    room.onGranted('session.99', { fencingToken: 9, validUntilMs: clock.now() + 500 })
    expect(store.open).toEqual([])
  })

  test('a reply is nothing', async () => {
    const entry = enter({ waitMs: 100 })
    const request = store.take('acquire')
    await clock.advance(100)
    expect(entry.outcome).toBe('rejected')
    await store.take('release').reply({ status: 'released' })
    await request.reply(granted())
    expectEmpty()
  })

  test('is remembered for the last thousand only', async () => {
    store.answer('release', () => ({ status: 'absent' }))
    store.answer('acquire', () => waiting())
    for (let i = 0; i < 1_500; i++) enter({ waitMs: 10 }, { name: `name${i}` })
    await clock.advance(10)
    const { takingBack } = room as unknown as { takingBack: { names: Map<string, string>; size: number } }
    expect([takingBack.names.size, takingBack.size]).toEqual([1_000, 0])
    expectEmpty()
  })
})
