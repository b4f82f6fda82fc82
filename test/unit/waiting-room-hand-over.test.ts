import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Claim, Granted, Patience } from '../../src/acquire/claim.js'
import { WaitingRoom } from '../../src/acquire/waiting-room.js'
import type { Tenure } from '../../src/lease/tenure.js'
import type { Grant } from '../../src/store/store.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { HAND_OVER } from '../support/claims.js'
import { type Asked, FakeStore, refused, turn, unreachable } from '../support/fake-store.js'

/** How a lock goes from claim to claim inside a process, and what the server is asked meanwhile. */

const CLAIM: Claim = { name: 'a', mode: 'exclusive', permits: 1, limit: 1, ttlMs: 30_000, priority: 0, info: '' }
const FOREVER: Patience = { waitMs: Number.POSITIVE_INFINITY }
const FIRST = 1_000_000

let clock: FakeClock
let store: FakeStore
let room: WaitingRoom

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  clock = new FakeClock()
  store = new FakeStore()
  room = new WaitingRoom(store, 'session', clock, HAND_OVER, () => undefined)
})

afterEach(() => {
  vi.restoreAllMocks()
})

const grant = (rest: Partial<Grant> = {}) => ({
  fencingToken: FIRST,
  validUntilMs: clock.now() + 30_000,
  othersWait: false,
  canHandOn: true,
  ...rest,
})
const granted = (rest?: Partial<Grant>) => ({ status: 'granted' as const, ...grant(rest) })
const waiting = (waiters = 1) => ({ status: 'waiting' as const, ticket: 5, nextEndMs: clock.now() + 60_000, waiters })

/** A claim, and what has become of it so far. */
function enter(claim: Partial<Claim> = {}, patience: Patience = FOREVER) {
  const state = { outcome: 'undecided' as 'undecided' | 'resolved' | 'rejected', value: undefined as any }
  room.enter({ ...CLAIM, ...claim }, patience).then(
    (value) => Object.assign(state, { outcome: 'resolved', value }),
    (value) => Object.assign(state, { outcome: 'rejected', value }),
  )
  return state
}

/** Somebody here holds the lock, on the word of the server. */
async function hold(claim: Partial<Claim> = {}, rest: Partial<Grant> = {}): Promise<Tenure> {
  const entry = enter(claim)
  await store.take('acquire').reply(granted(rest))
  return (entry.value as Granted).tenure
}

/** A millisecond later, the holder leaves. */
async function handOver(tenure: Tenure, name = 'a'): Promise<boolean> {
  await clock.advance(1)
  const done = room.handOver(name, tenure)
  await turn()
  return done
}

const outcomes = (entries: { outcome: string }[]) => entries.map(({ outcome }) => outcome)

function expectEmpty(): void {
  const { byId, byName, takingBack } = room as unknown as Record<string, { size: number }>
  expect([byId?.size, byName?.size, takingBack?.size, clock.pending, store.open]).toEqual([0, 0, 0, 0, []])
}

describe('the claims of one name', () => {
  test('are one request, however many they are', async () => {
    const entries = Array.from({ length: 100_000 }, () => enter())
    await store.take('acquire').reply(waiting())
    expect(store.open).toEqual([])
    expect(clock.pending).toBe(1)
    room.onGranted('session.1', grant())
    await turn()
    expect(outcomes(entries.slice(0, 2))).toEqual(['resolved', 'undecided'])
    expect(store.take('acquire').args[0].id).toBe('session.2')
    expect(store.open).toEqual([])
  })

  test('are all told that they wait, once each', async () => {
    const ids: unknown[] = []
    const listener = (message: unknown) => ids.push((message as { id: string }).id)
    subscribe('halocksmith:waiting', listener)
    enter()
    enter()
    await store.take('acquire').reply(waiting())
    const controller = new AbortController()
    enter({}, { ...FOREVER, signal: controller.signal })
    controller.abort()
    await clock.advance(1_900)
    await store.take('acquire').reply(waiting())
    unsubscribe('halocksmith:waiting', listener)
    expect(ids).toEqual(['session.2', 'session.1', 'session.3'])
  })

  test('that the server knows nothing of are listed, in their order', async () => {
    enter()
    enter({ info: 'second' })
    enter({ info: 'third', priority: -1 })
    enter({ info: 'fourth' })
    enter({ name: 'b' })
    enter({ name: 'b', info: 'behind' })
    expect(room.unseated().map(({ claim }) => [claim.name, claim.info])).toEqual([
      ['a', 'second'],
      ['a', 'fourth'],
      ['a', 'third'],
      ['b', 'behind'],
    ])
  })
})

describe('a lock that its holder leaves', () => {
  test('goes on in the order of arrival, under the same id, with a larger token each time, and nobody is asked', async () => {
    let tenure = await hold()
    const entries = [enter(), enter(), enter()]
    await store.take('acquire').reply(waiting())
    const tokens = [tenure.firstToken]
    for (const [i, entry] of entries.entries()) {
      expect(await handOver(tenure)).toBe(true)
      expect(outcomes(entries)).toEqual(entries.map((_, k) => (k <= i ? 'resolved' : 'undecided')))
      expect(entry.value).toMatchObject({ claimId: `session.${i + 2}`, tenure: { id: 'session.1' } })
      tenure = entry.value.tenure
      tokens.push(entry.value.fencingToken)
    }
    expect(tokens).toEqual([FIRST, FIRST + 990, FIRST + 1_980, FIRST + 2_970])
    // Nobody is left who could sit there.
    expect(store.open).toEqual(['release'])
    expect(store.take('release').args).toEqual(['a', 'session.2', { withdraw: true }])
  })

  test('goes to the highest priority first', async () => {
    const tenure = await hold()
    const [low, high, higher] = [enter(), enter({ priority: 1 }), enter({ priority: 2 })]
    for (let i = 0; i < 3; i++) await store.take('acquire').reply(waiting(i + 1))
    store.answer('release', () => ({ status: 'absent' }))
    await handOver(tenure)
    expect(outcomes([low, high, higher])).toEqual(['undecided', 'undecided', 'resolved'])
    await handOver(tenure)
    expect(outcomes([low, high])).toEqual(['undecided', 'resolved'])
    await handOver(tenure)
    expect(low.outcome).toBe('resolved')
    expectEmpty()
  })

  test("is nobody's here when nobody waits for it", async () => {
    const tenure = await hold()
    enter({ name: 'b' })
    expect(await handOver(tenure)).toBe(false)
    expect(tenure.wasHandedOn).toBe(false)
  })

  test.each<[string, Partial<Claim>]>([
    ['for another time', { ttlMs: 20_000 }],
    ['as a reader', { mode: 'counted', limit: 0 }],
    ['as one of several', { mode: 'counted', limit: 5 }],
  ])('does not go to a claim that wants it %s, nor past it', async (_, other) => {
    const tenure = await hold()
    const entries = [enter(other), enter()]
    await store.take('acquire').reply(waiting())
    expect(await handOver(tenure)).toBe(false)
    expect(outcomes(entries)).toEqual(['undecided', 'undecided'])
  })

  test.each<[string, Partial<Claim>]>([
    ['more permits', { permits: 2 }],
    ['the whole name', { mode: 'exclusive', limit: 1 }],
    ['another lease', { ttlMs: 20_000 }],
  ])('that was counted does not go to a claim that wants %s', async (_, other) => {
    const permit = { mode: 'counted', limit: 3 } as const
    const tenure = await hold(permit)
    enter({ ...permit, ...other })
    expect(await handOver(tenure)).toBe(false)
  })

  test('goes on to what the holder of a single attempt left', async () => {
    const attempt = enter({}, { waitMs: 0 })
    await store.take('acquire').reply(granted())
    const next = enter()
    await store.take('acquire').reply(waiting())
    expect(await handOver(attempt.value.tenure)).toBe(true)
    expect(next.outcome).toBe('resolved')
  })

  test("does not go to a single attempt, which is the server's to answer", async () => {
    const tenure = await hold()
    const attempt = enter({}, { waitMs: 0 })
    expect(await handOver(tenure)).toBe(false)
    await store.take('acquire').reply({ status: 'busy' })
    expect(attempt).toMatchObject({ outcome: 'resolved', value: null })
  })
})

test('where locks are not handed on, each claim has a place of its own in the queue', async () => {
  room = new WaitingRoom(store, 'session', clock, { most: 0, forMs: 50 }, () => undefined)
  const entries = [enter(), enter(), enter()]
  for (let i = 0; i < 3; i++) await store.take('acquire').reply(waiting(i + 1))
  expect(room.unseated()).toEqual([])
  room.onGranted('session.2', grant())
  await turn()
  expect(outcomes(entries)).toEqual(['undecided', 'resolved', 'undecided'])
  expect(await handOver(entries[1]?.value.tenure)).toBe(false)
})

describe('how often', () => {
  /** How often the lock is handed on, one a millisecond, of `claims` that wait. */
  async function countHandOvers(tenure: Tenure, most = 40): Promise<number> {
    let count = 0
    while (count < most && (await handOver(tenure))) count += 1
    return count
  }

  test('without end while this process is the only one that waits', async () => {
    const tenure = await hold()
    for (let i = 0; i < 100; i++) enter()
    await store.take('acquire').reply(waiting(1))
    expect(await countHandOvers(tenure)).toBe(40)
  })

  test('sixteen times once the queue holds more than is ours', async () => {
    const tenure = await hold()
    for (let i = 0; i < 100; i++) enter()
    await store.take('acquire').reply(waiting(2))
    expect(await countHandOvers(tenure)).toBe(16)
    // The seat has gone from claim to claim; it is still the one place in the queue.
    expect(store.open).toEqual([])
  })

  test('sixteen times where the store does not say how many wait', async () => {
    const tenure = await hold()
    for (let i = 0; i < 100; i++) enter()
    await store.take('acquire').reply({ status: 'waiting', ticket: 5, nextEndMs: clock.now() + 60_000 })
    expect(await countHandOvers(tenure)).toBe(16)
  })

  test('sixteen times more once a hint says that others wait', async () => {
    const tenure = await hold()
    for (let i = 0; i < 100; i++) enter()
    await store.take('acquire').reply(waiting(1))
    expect(await countHandOvers(tenure, 20)).toBe(20)
    room.onOthersWait('session.2')
    expect(await countHandOvers(tenure)).toBe(16)
  })

  test('a hint is not undone by a reply that it overtook, but by the next', async () => {
    const tenure = await hold()
    for (let i = 0; i < 100; i++) enter()
    const request = store.take('acquire')
    room.onOthersWait('session.2')
    expect(store.open).toEqual([])
    await request.reply(waiting(1))
    expect(await countHandOvers(tenure)).toBe(16)
    room.onChanged('session.2')
    await store.take('acquire').reply(waiting(1))
    expect(await countHandOvers(tenure, 20)).toBe(20)
  })

  test('a hint for a claim that is unknown is nothing', async () => {
    const tenure = await hold()
    for (let i = 0; i < 100; i++) enter()
    await store.take('acquire').reply(waiting(1))
    room.onOthersWait('session.1')
    room.onOthersWait('session.3')
    expect(await countHandOvers(tenure, 30)).toBe(30)
  })

  test.each([
    [true, 16],
    [undefined, 16],
    [false, 40],
  ])('a grant that came to one of many says of others: %s', async (othersWait, times) => {
    const entries = Array.from({ length: 100 }, () => enter())
    await store.take('acquire').reply(granted({ othersWait }))
    expect(await countHandOvers(entries[0]?.value.tenure)).toBe(times)
  })

  test('sixteen times while no word of the server has come for those who wait', async () => {
    const tenure = await hold()
    for (let i = 0; i < 100; i++) enter()
    expect(await countHandOvers(tenure)).toBe(16)
  })

  test('sixteen times by two claims that take turns, each of which is gone before the reply to it', async () => {
    store.answer('release', () => ({ status: 'absent' }))
    const tenure = await hold()
    let count = 0
    for (; count < 40; count++) {
      const next = enter()
      const request = store.take('acquire')
      if (!(await handOver(tenure))) break
      expect(next.outcome).toBe('resolved')
      await request.reply(waiting(2))
    }
    expect(count).toBe(16)
  })

  test('for as long as it was set up to', async () => {
    room = new WaitingRoom(store, 'session', clock, { most: 1_000, forMs: 5 }, () => undefined)
    const tenure = await hold()
    for (let i = 0; i < 100; i++) enter()
    await store.take('acquire').reply(waiting(2))
    expect(await countHandOvers(tenure)).toBe(4)
  })

  test('never, if it was set up so', async () => {
    room = new WaitingRoom(store, 'session', clock, { most: 0, forMs: 50 }, () => undefined)
    const tenure = await hold()
    const entry = enter()
    await store.take('acquire').reply(waiting(1))
    expect(await handOver(tenure)).toBe(false)
    room.onGranted('session.2', grant())
    await turn()
    expect(entry.outcome).toBe('resolved')
  })

  test('32 times in one turn of the event loop, the rest in the next', async () => {
    const tenure = await hold()
    const entries = Array.from({ length: 50 }, () => enter())
    await store.take('acquire').reply(waiting(1))
    let nowMs = clock.now()
    // Time that passes without a turn.
    vi.spyOn(clock, 'now').mockImplementation(() => nowMs)
    for (let i = 0; i < 40; i++) {
      nowMs += 0.02
      expect(room.handOver('a', tenure)).toBe(true)
    }
    await Promise.resolve()
    expect(entries.filter(({ outcome }) => outcome === 'resolved')).toHaveLength(32)
    await turn()
    expect(entries.filter(({ outcome }) => outcome === 'resolved')).toHaveLength(40)
    const tokens = entries.slice(0, 40).map(({ value }) => value.fencingToken)
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
    expect(new Set(tokens).size).toBe(40)
  })
})

describe('the seat', () => {
  test('passes to the next when its claim was handed the lock, which asks under the same id with its own info', async () => {
    const tenure = await hold()
    const [first, second] = [enter({ info: 'first' }), enter({ info: 'second' })]
    const request = store.take('acquire')
    expect(request.args[0]).toMatchObject({ id: 'session.2', info: 'first', ticket: 0 })
    await request.reply(waiting())
    await handOver(tenure)
    expect(outcomes([first, second])).toEqual(['resolved', 'undecided'])
    expect(store.open).toEqual([])
    await clock.advance(1_900)
    expect(store.take('acquire').args[0]).toMatchObject({ id: 'session.2', info: 'second', ticket: 5, queue: true })
  })

  test('that was granted for its first claim is for its present one', async () => {
    const controller = new AbortController()
    const [first, second] = [enter({ info: 'first' }, { ...FOREVER, signal: controller.signal }), enter({ info: 'second' })]
    await store.take('acquire').reply(waiting())
    controller.abort('reason')
    room.onGranted('session.1', grant({ fencingToken: 5 }))
    await turn()
    expect(first).toMatchObject({ outcome: 'rejected', value: 'reason' })
    expect(second.value).toMatchObject({ claimId: 'session.2', fencingToken: 5, tenure: { id: 'session.1', info: 'first' } })
    expectEmpty()
  })

  test('that is granted by a reply which was under way for another is for its present one', async () => {
    const controller = new AbortController()
    const [first, second] = [enter({}, { ...FOREVER, signal: controller.signal }), enter()]
    const request = store.take('acquire')
    controller.abort('reason')
    await request.reply(granted())
    expect(first.outcome).toBe('rejected')
    expect(second.value).toMatchObject({ claimId: 'session.2', tenure: { id: 'session.1', stray: false } })
    expectEmpty()
  })

  test('does not pass to a claim that wants something else: it is withdrawn, and that one asked for itself', async () => {
    const controller = new AbortController()
    enter({}, { ...FOREVER, signal: controller.signal })
    enter({ ttlMs: 500 })
    await store.take('acquire').reply(waiting())
    controller.abort()
    await turn()
    expect(store.take('release').args).toEqual(['a', 'session.1', { withdraw: true }])
    expect(store.take('acquire').args[0]).toMatchObject({ id: 'session.2', ttlMs: 500, ticket: 0 })
  })

  test('does not pass to a claim of another priority, whose place in the queue is another', async () => {
    const controller = new AbortController()
    enter({ priority: 1 }, { ...FOREVER, signal: controller.signal })
    enter({ priority: 0 })
    await store.take('acquire').reply(waiting())
    controller.abort()
    await turn()
    expect(store.take('release').args[1]).toBe('session.1')
    expect(store.take('acquire').args[0]).toMatchObject({ id: 'session.2', priority: 0 })
  })
})

describe('a seat whose claim was the last in the line and was handed the lock', () => {
  /** Somebody holds the lock, another waits, and gets it; the rest of the turn is left to the test. */
  async function free() {
    const tenure = await hold()
    const heir = enter()
    const asked = store.take('acquire')
    await asked.reply(waiting())
    await clock.advance(1)
    expect(room.handOver('a', tenure)).toBe(true)
    return { tenure, heir, id: asked.args[0].id }
  }

  test('is taken over by who comes in the same turn: two that take turns ask for nothing', async () => {
    const { tenure } = await free()
    for (let i = 0; i < 100; i++) {
      const next = enter()
      await clock.advance(1)
      expect(room.handOver('a', tenure)).toBe(true)
      await Promise.resolve()
      expect(next.outcome).toBe('resolved')
    }
    expect(store.open).toEqual([])
    await turn()
    expect(store.open).toEqual(['release'])
  })

  test('is taken back when that turn is over', async () => {
    const { id } = await free()
    expect(store.open).toEqual([])
    await turn()
    const withdrawal = store.take('release')
    expect(withdrawal.args).toEqual(['a', id, { withdraw: true }])
    await withdrawal.reply({ status: 'absent' })
    expectEmpty()
  })

  test('is taken back before the lock is: else it would be granted', async () => {
    const { tenure, id } = await free()
    expect(room.handOver('a', tenure)).toBe(false)
    expect(store.take('release').args).toEqual(['a', id, { withdraw: true }])
    await turn()
    expect(store.open).toEqual([])
  })

  test('is not for a claim that wants something else', async () => {
    const { id } = await free()
    enter({ ttlMs: 20_000 })
    expect(store.take('acquire').args[0]).toMatchObject({ ttlMs: 20_000 })
    await turn()
    expect(store.take('release').args).toEqual(['a', id, { withdraw: true }])
  })

  test.each(['granted', 'withdrawn', 'refused'] as const)('and of which the server says "%s" meanwhile goes back at once', async (what) => {
    const tenure = await hold()
    const heir = enter()
    const asked = store.take('acquire')
    await clock.advance(1)
    expect(room.handOver('a', tenure)).toBe(true)
    if (what === 'granted') room.onGranted(asked.args[0].id, grant())
    else if (what === 'refused') void asked.fail(refused())
    else void asked.reply({ status: 'withdrawn' })
    for (let i = 0; i < 5; i++) await Promise.resolve()
    expect(store.take('release').args).toEqual(['a', asked.args[0].id, { withdraw: true }])
    expect(heir.outcome).toBe('resolved')
    await turn()
    expect(store.open).toEqual([])
  })

  test('is taken back by closing', async () => {
    const { id } = await free()
    const closed = room.close()
    const withdrawal = store.take('release')
    expect(withdrawal.args).toEqual(['a', id, { withdraw: true }])
    await withdrawal.reply({ status: 'released' })
    await closed
    expectEmpty()
  })
})

describe('a claim that is given up', () => {
  const controllers = () => [new AbortController(), new AbortController(), new AbortController()] as const

  async function three() {
    const signals = controllers()
    const entries = signals.map(({ signal }) => enter({}, { ...FOREVER, signal }))
    await store.take('acquire').reply(waiting())
    return { signals, entries }
  }

  test('as the first leaves its seat to the next', async () => {
    const { signals, entries } = await three()
    signals[0].abort('reason')
    await turn()
    expect(outcomes(entries)).toEqual(['rejected', 'undecided', 'undecided'])
    expect(store.open).toEqual([])
    room.onGranted('session.1', grant())
    await turn()
    expect(outcomes(entries)).toEqual(['rejected', 'resolved', 'undecided'])
  })

  test.each([1, 2])('behind the first changes nothing for the others: %d', async (place) => {
    const { signals, entries } = await three()
    signals[place]?.abort('reason')
    await turn()
    expect(store.open).toEqual([])
    expect(entries[place]).toMatchObject({ outcome: 'rejected', value: 'reason' })
    room.onGranted('session.1', grant())
    await turn()
    expect(entries[0]?.outcome).toBe('resolved')
    const other = place === 1 ? 3 : 2
    expect(store.take('acquire').args[0].id).toBe(`session.${other}`)
  })

  test('as the last of all takes the seat back', async () => {
    const { signals } = await three()
    for (const controller of signals.toReversed()) controller.abort('reason')
    await turn()
    await store.take('release').reply({ status: 'released' })
    expectEmpty()
  })

  test('by one signal for all takes one seat back', async () => {
    const controller = new AbortController()
    const entries = Array.from({ length: 1_000 }, () => enter({}, { ...FOREVER, signal: controller.signal }))
    await store.take('acquire').reply(waiting())
    controller.abort('reason')
    await turn()
    expect(new Set(outcomes(entries))).toEqual(new Set(['rejected']))
    expect(store.take('release').args[1]).toBe('session.1')
    expect(store.open).toEqual([])
  })

  test('when it is not the first any more does not get the lock', async () => {
    const tenure = await hold()
    const controller = new AbortController()
    const entries = [enter({}, { ...FOREVER, signal: controller.signal }), enter()]
    await store.take('acquire').reply(waiting())
    controller.abort('reason')
    await handOver(tenure)
    expect(outcomes(entries)).toEqual(['rejected', 'resolved'])
  })
})

describe('the end of the wait', () => {
  test('of claims that were never asked for themselves is busy, as the server says', async () => {
    const entries = [enter(), enter({}, { waitMs: 100 }), enter({}, { waitMs: 200 })]
    await store.take('acquire').reply(waiting())
    await clock.advance(100)
    expect(outcomes(entries)).toEqual(['undecided', 'resolved', 'undecided'])
    expect(entries[1]?.value).toBeNull()
    await clock.advance(100)
    expect(entries[2]).toMatchObject({ outcome: 'resolved', value: null })
    expect(store.open).toEqual([])
  })

  test('of such claims with the server away says so', async () => {
    const entries = [enter(), enter({}, { waitMs: 150 })]
    await store.take('acquire').fail(unreachable('connect ECONNREFUSED'))
    await clock.advance(100)
    await store.take('acquire').fail(unreachable('connect ECONNREFUSED'))
    await clock.advance(50)
    expect(entries[1]?.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', cause: { message: 'connect ECONNREFUSED' } })
    expect(entries[0]?.outcome).toBe('undecided')
  })

  test('of such claims before any answer says so', async () => {
    const entries = [enter(), enter({}, { waitMs: 150 })]
    await clock.advance(150)
    expect(entries[1]?.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('no answer') })
  })

  test('of the first passes its seat on, which is heard of as before', async () => {
    const entries = [enter({}, { waitMs: 100 }), enter({}, { waitMs: 500 })]
    await store.take('acquire').reply(waiting())
    await clock.advance(100)
    expect(entries[0]).toMatchObject({ outcome: 'resolved', value: null })
    expect(store.open).toEqual([])
    await clock.advance(400)
    expect(entries[1]).toMatchObject({ outcome: 'resolved', value: null })
    await store.take('release').reply({ status: 'released' })
    expectEmpty()
  })

  test('does not come for a claim that was handed the lock before', async () => {
    const tenure = await hold()
    const entry = enter({}, { waitMs: 100 })
    await store.take('acquire').reply(waiting())
    store.answer('release', () => ({ status: 'released' }))
    await handOver(tenure)
    await clock.advance(100)
    expect(entry.value).toMatchObject({ claimId: 'session.2' })
    expectEmpty()
  })
})

describe('closing', () => {
  test('rejects all, takes the one seat back, and hands nothing on', async () => {
    const tenure = await hold()
    const entries = [enter(), enter(), enter()]
    await store.take('acquire').reply(waiting())
    const closing = room.close()
    expect(room.handOver('a', tenure)).toBe(false)
    await turn()
    expect(entries.map(({ value }) => value?.code)).toEqual(['LOCK_CLOSED', 'LOCK_CLOSED', 'LOCK_CLOSED'])
    await store.take('release').reply({ status: 'released' })
    await closing
    expectEmpty()
  })

  test('takes back an attempt that was given up before, and is not answered yet', async () => {
    store.answer('release', () => ({ status: 'absent' }))
    const releases = vi.spyOn(store, 'release')
    const withdrawn = () => releases.mock.calls.map(([, id, options]) => [id, options?.withdraw])
    const controller = new AbortController()
    enter({ mode: 'counted', limit: 3 }, { ...FOREVER, signal: controller.signal })
    enter({}, { waitMs: 0, signal: controller.signal })
    enter({ name: 'b' }, { waitMs: 0 })
    const requests = [store.take('acquire'), store.take('acquire'), store.take('acquire')]
    controller.abort()
    await turn()
    expect(withdrawn()).toEqual([['session.1', true]])
    await room.close()
    const all = ['session.1', 'session.2', 'session.3'].map((id) => [id, true])
    expect(withdrawn().sort()).toEqual(all)
    for (const request of requests) await request.reply(granted())
    expect(withdrawn().sort()).toEqual(all)
  })

  test('of counted claims takes back each that was asked for', async () => {
    for (let i = 0; i < 5; i++) enter({ mode: 'counted', limit: 3 })
    for (let i = 0; i < 3; i++) store.take('acquire')
    store.answer('release', () => ({ status: 'absent' }))
    const releases = vi.spyOn(store, 'release')
    await room.close()
    expect(releases.mock.calls.map(([, id]) => id).sort()).toEqual(['session.1', 'session.2', 'session.3'])
    expectEmpty()
  })
})

describe('what the server says of a seat', () => {
  test('that it refuses is for its claim alone: the next is asked for under its own id', async () => {
    const entries = [enter(), enter()]
    await store.take('acquire').fail(refused())
    expect(entries[0]?.value).toMatchObject({ code: 'LOCK_UNAVAILABLE', cause: { kind: 'refused' } })
    expect(entries[1]?.outcome).toBe('undecided')
    expect(store.take('acquire').args[0].id).toBe('session.2')
    expect(store.take('release').args[1]).toBe('session.1')
  })

  test('that it is a conflict is for its claim alone', async () => {
    const permit = { mode: 'counted', limit: 1 } as const
    const entries = [enter(permit), enter(permit)]
    await store.take('acquire').reply({ status: 'conflict', limit: 3 })
    expect(entries[0]?.value).toMatchObject({ code: 'LOCK_CONFLICT' })
    expect(entries[1]?.outcome).toBe('undecided')
    expect(store.take('acquire').args[0].id).toBe('session.2')
  })

  test('that it was withdrawn is for its claim alone', async () => {
    const entries = [enter(), enter()]
    await store.take('acquire').reply({ status: 'withdrawn' })
    expect(outcomes(entries)).toEqual(['rejected', 'undecided'])
    expect(store.take('acquire').args[0].id).toBe('session.2')
  })

  test('that was unanswered for its first claim makes the tenure of its present one stray', async () => {
    const controller = new AbortController()
    enter({}, { ...FOREVER, signal: controller.signal })
    const second = enter()
    await store.take('acquire').fail(unreachable())
    controller.abort()
    await clock.advance(100)
    await store.take('acquire').reply(granted())
    expect(second.value).toMatchObject({ tenure: { id: 'session.1', stray: true } })
  })
})

describe('counted claims', () => {
  const permit = { mode: 'counted', limit: 3 } as const
  const reader = { mode: 'counted', limit: 0 } as const

  const asked = () => {
    const requests = []
    while (store.open.includes('acquire')) requests.push(store.take('acquire'))
    return requests
  }

  test('are asked for at once as far as there may be room: the first with a place, the others as attempts', () => {
    for (let i = 0; i < 6; i++) enter(permit)
    expect(asked().map(({ args: [{ id, queue }] }) => [id, queue])).toEqual([
      ['session.1', true],
      ['session.2', false],
      ['session.3', false],
    ])
  })

  test('stand back when an attempt finds no room, and come when it is their turn', async () => {
    const entries = Array.from({ length: 4 }, () => enter(permit))
    const [first, second, third] = asked()
    await first?.reply(granted())
    await second?.reply({ status: 'busy' })
    // It is the first now: it asks with a place.
    expect(store.take('acquire').args[0]).toMatchObject({ id: 'session.2', queue: true })
    await third?.reply({ status: 'busy' })
    expect(outcomes(entries)).toEqual(['resolved', 'undecided', 'undecided', 'undecided'])
    expect(store.open).toEqual([])
    // And nobody tries beside those that wait.
    enter(permit)
    expect(store.open).toEqual([])
  })

  test('that came into room that was there bring the next, as far as there may be more', async () => {
    const entries = Array.from({ length: 5 }, () => enter(permit))
    const [first, second, third] = asked()
    await first?.reply(waiting())
    await second?.reply({ status: 'busy' })
    await third?.reply({ status: 'busy' })
    expect(store.open).toEqual([])
    room.onChanged('session.1')
    await store.take('acquire').reply(granted())
    expect(entries[0]?.outcome).toBe('resolved')
    expect(asked().map(({ args: [{ id, queue }] }) => [id, queue])).toEqual([
      ['session.2', true],
      ['session.3', false],
      ['session.4', false],
    ])
  })

  test('that had to wait for their turn bring one: whoever is next', async () => {
    Array.from({ length: 3 }, () => enter({ ...permit, permits: 2 }))
    await store.take('acquire').reply(waiting())
    room.onGranted('session.1', grant())
    await turn()
    expect(asked().map(({ args: [{ id, queue }] }) => [id, queue])).toEqual([['session.2', true]])
  })

  test('that read come all together after a writer, whoever told the first of them', async () => {
    const writer = await hold()
    const readers = Array.from({ length: 10 }, () => enter(reader))
    await store.take('acquire').reply(waiting())
    for (const request of asked()) await request.reply({ status: 'busy' })
    expect(store.open).toEqual([])
    expect(await handOver(writer)).toBe(false)
    room.onGranted('session.2', grant())
    await turn()
    const requests = asked()
    expect(requests).toHaveLength(9)
    for (const request of requests) await request.reply(granted())
    expect(new Set(outcomes(readers))).toEqual(new Set(['resolved']))
    expectEmpty()
  })

  test('that read come up to the next writer', async () => {
    for (const claim of [reader, reader, CLAIM, reader]) enter(claim)
    const [first, second] = asked()
    await first?.reply(waiting())
    await second?.reply({ status: 'busy' })
    room.onGranted('session.1', grant())
    await turn()
    expect(asked().map(({ args: [{ id }] }) => id)).toEqual(['session.2'])
  })

  test('with another limit than those before are told at once that they are in conflict', async () => {
    enter(permit)
    enter(permit)
    const other = enter({ ...permit, limit: 4 })
    const [, , request] = asked()
    expect(request?.args[0]).toMatchObject({ id: 'session.3', limit: 4, queue: true })
    await request?.reply({ status: 'conflict', limit: 3 })
    expect(other.value).toMatchObject({ code: 'LOCK_CONFLICT' })
  })

  test('hand their permits on to those that want as many', async () => {
    const tenure = await hold({ ...permit, permits: 2 })
    const entries = Array.from({ length: 20 }, () => enter({ ...permit, permits: 2 }))
    await store.take('acquire').reply(waiting(1))
    for (let i = 1; i <= 15; i++) {
      expect(await handOver(tenure)).toBe(true)
      expect(entries[i - 1]?.value).toMatchObject({ fencingToken: FIRST + i, tenure: { id: 'session.1' } })
    }
    // No token is left.
    expect(await handOver(tenure)).toBe(false)
  })

  test.each([
    ['is busy', (request: Asked<'acquire'>) => request.reply({ status: 'busy' }), []],
    ['is not answered', (request: Asked<'acquire'>) => request.fail(unreachable()), ['release', 'release']],
  ])('that are given up while an attempt is under way which %s', async (_, answer, left) => {
    const controller = new AbortController()
    enter(permit)
    enter(permit, { ...FOREVER, signal: controller.signal })
    const [first, second] = asked()
    await first?.reply(waiting())
    controller.abort()
    await turn()
    expect(store.open).toEqual([])
    await answer(second as Asked<'acquire'>)
    expect(store.open).toEqual(left)
  })

  test('that are handed permits while they are asked for are taken back', async () => {
    const tenure = await hold(permit)
    const [first, second] = [enter(permit), enter(permit)]
    const requests = asked()
    expect(requests).toHaveLength(2)
    await handOver(tenure)
    await handOver(tenure)
    expect(outcomes([first, second])).toEqual(['resolved', 'resolved'])
    // The place is given up at once, the attempt when it turns out to be needed: a busy one leaves nothing behind.
    expect(store.take('release').args).toEqual(['a', 'session.2', { withdraw: true }])
    expect(store.open).toEqual([])
    for (const request of requests) await request.reply(granted())
    expect(store.take('release').args).toEqual(['a', 'session.3', { withdraw: true }])
    expect(outcomes([first, second])).toEqual(['resolved', 'resolved'])
    expect(first.value.fencingToken).toBe(FIRST + 1)
  })
})
