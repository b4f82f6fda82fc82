import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AcquireOptions } from '../../src/options.js'
import type { HeldLock } from '../../src/primitives/held-lock.js'
import { EXCLUSIVE } from '../../src/primitives/recipe.js'
import { makeClaims, TTL_MS } from '../support/claims.js'
import { turn, unreachable } from '../support/fake-store.js'
import { expectNoTimer } from '../support/timers.js'

/** A lock that goes from one claim of a process to the next, as their holders see it. */

const FIRST = 1_000_000

let { clock, store, claims } = makeClaims()

beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  ;({ clock, store, claims } = makeClaims())
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const granted = () => ({
  status: 'granted' as const,
  fencingToken: FIRST,
  validUntilMs: clock.now() + TTL_MS,
  othersWait: false,
  canHandOn: true,
})
const waiting = () => ({ status: 'waiting' as const, ticket: 1, nextEndMs: clock.now() + TTL_MS, waiters: 1 })
const held = (validForMs = TTL_MS) => ({ status: 'held' as const, validUntilMs: clock.now() + validForMs })
const tenureId = () => `${store.session}.1`

async function hold(options: AcquireOptions = {}): Promise<HeldLock> {
  const acquiring = claims.acquire(['a'], EXCLUSIVE, options)
  await turn()
  await store.take('acquire').reply(granted())
  return acquiring
}

/** A claim that waits, and the lock that it gets. */
function wait(options: AcquireOptions = {}) {
  const entry = { lock: undefined as HeldLock | undefined, error: undefined as { code?: string } | undefined }
  claims.acquire(['a'], EXCLUSIVE, options).then(
    (lock) => (entry.lock = lock),
    (error) => (entry.error = error),
  )
  return entry
}

/** A holder and one claim behind it, for which the server was asked. */
async function holdAndWait(options: AcquireOptions = {}, next: AcquireOptions = options) {
  const first = await hold(options)
  const entry = wait(next)
  await turn()
  await store.take('acquire').reply(waiting())
  return { first, entry }
}

/** The lock has gone from the first to the second, who is the last: the seat of that one has been given back. */
async function handOver(options: AcquireOptions = {}): Promise<{ first: HeldLock; second: HeldLock }> {
  const { first, entry } = await holdAndWait(options)
  await clock.advance(1)
  await expect(first.release()).resolves.toEqual({ released: true })
  await turn()
  await store.take('release').reply({ status: 'released' })
  return { first, second: entry.lock as HeldLock }
}

describe('a release', () => {
  test('hands the lock on, with a larger token, and asks nobody', async () => {
    const { first, second } = await handOver()
    expect([first.state, second.state]).toEqual(['released', 'held'])
    expect([first.fencingToken, second.fencingToken]).toEqual([FIRST, FIRST + 990])
    expect(first.signal.aborted).toBe(false)
    expect(store.open).toEqual([])
  })

  test('by the last of them tells the server the last token', async () => {
    const { second } = await handOver()
    const releasing = second.release()
    const request = store.take('release')
    expect(request.args).toEqual(['a', tenureId(), { fencingToken: FIRST + 990 }])
    await request.reply({ status: 'released' })
    await expect(releasing).resolves.toEqual({ released: true })
    await expectNoTimer(clock)
    expect(store.open).toEqual([])
  })

  test('that keeps the name taken for a while tells it too', async () => {
    const { second } = await handOver({ minHoldMs: 1 })
    void second.release()
    expect(store.take('release').args[2]).toEqual({ keepMs: 1, fencingToken: FIRST + 990 })
  })

  test('with minHoldMs left hands nothing on; when it has passed, it does', async () => {
    const { first, entry } = await holdAndWait({ minHoldMs: 1_000 })
    await clock.advance(999)
    void first.release()
    await turn()
    expect(entry.lock).toBeUndefined()
    expect(store.take('release').args).toEqual(['a', tenureId(), { keepMs: 1 }])

    ;({ clock, store, claims } = makeClaims())
    const again = await holdAndWait({ minHoldMs: 1_000 })
    await clock.advance(1_000)
    void again.first.release()
    await turn()
    expect(again.entry.lock?.state).toBe('held')
  })

  test('after serialize() hands nothing on: whoever has the text speaks for the id', async () => {
    const { first, entry } = await holdAndWait()
    first.serialize()
    await clock.advance(1)
    void first.release()
    await turn()
    expect(entry.lock).toBeUndefined()
    expect(store.take('release').args).toEqual(['a', tenureId(), undefined])
  })

  test('while the state is unknown hands nothing on', async () => {
    const { first, entry } = await holdAndWait()
    await clock.advance(10_000)
    for (const method of store.open) await store.take(method).fail(unreachable())
    expect(first.state).toBe('unknown')
    void first.release()
    await turn()
    expect(entry.lock).toBeUndefined()
    expect(store.open).toContain('release')
  })

  test('of a lost lock hands nothing on', async () => {
    const { first, entry } = await holdAndWait({ autoExtend: false })
    store.answer('acquire', waiting)
    await clock.advance(TTL_MS)
    expect(first.state).toBe('lost')
    await first.release()
    await turn()
    expect(entry.lock).toBeUndefined()
    expect(store.take('release').args).toEqual(['a', tenureId(), undefined])
  })

  test('again, and late, changes nothing for whoever holds the lock by now', async () => {
    const { first, second } = await handOver()
    await expect(first.release()).resolves.toEqual({ released: false, reason: 'already released' })
    await clock.advance(TTL_MS / 4)
    await first[Symbol.asyncDispose]()
    expect(store.open).toEqual([])
    expect(second.state).toBe('held')
  })

  test.each<[string, () => AcquireOptions]>([
    ['another lease', () => ({ ttlMs: 5_000 })],
    ['to hold it for no longer than a time that is shorter than the lease', () => ({ maxHoldMs: 5_000 })],
  ])("is the server's to answer when the next claim wants %s", async (_, options) => {
    const { first, entry } = await holdAndWait({}, options())
    await clock.advance(1)
    void first.release()
    await turn()
    expect(entry.lock).toBeUndefined()
    expect(store.take('release').args).toEqual(['a', tenureId(), undefined])
  })
})

describe('a lock that was handed on', () => {
  test('has all of its own: what the next claimant asked for', async () => {
    const first = await hold()
    const entry = wait({ metadata: { job: 'x' }, minHoldMs: 500 })
    await turn()
    await store.take('acquire').reply(waiting())
    await clock.advance(400)
    void first.release()
    await turn()
    await store.take('release').reply({ status: 'released' })
    await clock.advance(300)
    // Counted from when it had the lock, not from the grant.
    void entry.lock?.release()
    await turn()
    const requests = store.open.includes('renew') ? [store.take('renew'), store.take('release')] : [store.take('release')]
    expect(requests.at(-1)?.args[2]).toMatchObject({ keepMs: 200 })
  })

  test('and that is held for long is renewed with the token and the info of its present holder', async () => {
    const first = await hold()
    const entry = wait({ metadata: { job: 'x' } })
    await turn()
    await store.take('acquire').reply(waiting())
    await clock.advance(1)
    void first.release()
    await turn()
    await store.take('release').reply({ status: 'released' })
    await clock.advance(TTL_MS / 3)
    const renewal = store.take('renew')
    const holder = { fencingToken: FIRST + 990, info: '["h",1,null,{"job":"x"}]' }
    expect(renewal.args).toEqual(['a', tenureId(), TTL_MS, holder, 0])
    // Until the server has said that it knows.
    await renewal.fail(unreachable())
    await clock.advance(1_000)
    const again = store.take('renew')
    expect(again.args[3]).toEqual(holder)
    await again.reply(held())
    await clock.advance(TTL_MS / 3)
    expect(store.take('renew').args[3]).toBeUndefined()
    expect(entry.lock?.state).toBe('held')
  })

  test.each<[string, AcquireOptions, number]>([
    ['is not extended by itself', { autoExtend: false }, 1],
    ['has part of its lease left', {}, 4_000],
  ])('and %s is renewed after 50 ms, with its present holder', async (_, options, heldMs) => {
    const { first, entry } = await holdAndWait(options)
    await clock.advance(heldMs)
    while (store.open.includes('acquire')) await store.take('acquire').reply(waiting())
    void first.release()
    await turn()
    await store.take('release').reply({ status: 'released' })
    await clock.advance(49)
    expect(store.open).toEqual([])
    await clock.advance(1)
    const renewal = store.take('renew')
    const { fencingToken } = entry.lock as HeldLock
    expect(renewal.args[3]).toMatchObject({ fencingToken })
    expect(renewal.args[2]).toBe(options.autoExtend === false ? TTL_MS - 50 : TTL_MS)
    await renewal.reply(held(TTL_MS - 50))
    expect(entry.lock?.remainingMs).toBeGreaterThan(TTL_MS - 50 - 311)
  })

  test('is counted on for no longer than the lease that the server gave', async () => {
    const { first, entry } = await holdAndWait({ autoExtend: false })
    await clock.advance(4_000)
    while (store.open.includes('acquire')) await store.take('acquire').reply(waiting())
    void first.release()
    await turn()
    expect(entry.lock?.remainingMs).toBe(TTL_MS - 4_000 - 310)
  })

  test('is not counted on for longer than was asked for when the one before had made it longer', async () => {
    const { first, entry } = await holdAndWait({ maxHoldMs: TTL_MS })
    const extending = first.extend(3_600_000)
    await store.take('renew').reply(held(3_600_000))
    await extending
    await clock.advance(1)
    void first.release()
    await turn()
    expect(entry.lock).toBeUndefined()
    expect(store.open).toEqual(['release'])
  })

  test('is lost when the renewal of the one before found it so', async () => {
    const { first, entry } = await holdAndWait()
    await clock.advance(TTL_MS / 3)
    while (store.open[0] === 'acquire') await store.take('acquire').reply(waiting())
    const renewal = store.take('renew')
    while (store.open.includes('acquire')) await store.take('acquire').reply(waiting())
    void first.release()
    await turn()
    const { signal } = entry.lock as HeldLock
    await renewal.reply({ status: 'lost' })
    expect(signal.aborted).toBe(true)
    expect([first.state, entry.lock?.state]).toEqual(['released', 'lost'])
  })

  test('is lost when the one before found it so while it extended it', async () => {
    const { first, entry } = await holdAndWait()
    const extending = first.extend().catch((error) => error)
    const renewal = store.take('renew')
    await clock.advance(1)
    void first.release()
    await turn()
    const { signal } = entry.lock as HeldLock
    await renewal.reply({ status: 'lost' })
    expect(await extending).toMatchObject({ code: 'LOCK_LOST' })
    expect(signal.aborted).toBe(true)
  })

  test('profits from a renewal that the one before had asked for', async () => {
    const { first, entry } = await holdAndWait()
    await clock.advance(TTL_MS / 3)
    while (store.open[0] === 'acquire') await store.take('acquire').reply(waiting())
    const renewal = store.take('renew')
    await renewal.reply(held())
    while (store.open.includes('acquire')) await store.take('acquire').reply(waiting())
    void first.release()
    await turn()
    expect(entry.lock?.remainingMs).toBe(TTL_MS - 310)
  })

  test('is asked about when the server hints that it was taken away', async () => {
    const { first, second } = await handOver()
    const { signal } = second
    store.listener?.changed(tenureId())
    await store.take('renew').reply({ status: 'lost' })
    expect(signal.aborted).toBe(true)
    expect(first.state).toBe('released')
    await expect(second.release()).resolves.toEqual({ released: false, reason: 'lost' })
  })

  test('has a message of its own, under the id of its claim', async () => {
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
    const messages: unknown[] = []
    const listener = (message: unknown, name: string | symbol) => messages.push([name, message])
    for (const name of ['halocksmith:granted', 'halocksmith:released']) subscribe(name, listener)
    const { second } = await handOver()
    void second.release()
    await store.take('release').reply({ status: 'released' })
    for (const name of ['halocksmith:granted', 'halocksmith:released']) unsubscribe(name, listener)
    const [one, two] = [`${store.session}.1`, `${store.session}.2`]
    expect(messages).toEqual([
      ['halocksmith:granted', { name: 'a', id: one, fencingToken: FIRST, waitedMs: 0 }],
      ['halocksmith:released', { name: 'a', id: one, fencingToken: FIRST, released: true }],
      ['halocksmith:granted', { name: 'a', id: two, fencingToken: FIRST + 990, waitedMs: 1 }],
      ['halocksmith:released', { name: 'a', id: two, fencingToken: FIRST + 990, released: true }],
    ])
  })

  test('can be serialized, with the id that the server knows', async () => {
    const { second } = await handOver()
    expect(JSON.parse(second.serialize()).locks).toMatchObject([{ id: tenureId(), fencingToken: FIRST + 990 }])
  })
})

test('a handle that was forgotten does not end the lock of whoever holds it after', async () => {
  const watched: { held: unknown; target: object }[] = []
  let collect = (_: unknown) => {}
  vi.stubGlobal(
    'FinalizationRegistry',
    class {
      constructor(callback: (held: unknown) => void) {
        collect = callback
      }
      register(target: object, kept: unknown) {
        watched.push({ target, held: kept })
      }
    },
  )
  vi.resetModules()
  const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const fresh = await import('../support/claims.js')
  ;({ clock, store, claims } = fresh.makeClaims())
  const { first, entry } = await holdAndWait()
  // Held for long: from here on its handle is watched.
  await clock.advance(TTL_MS / 3)
  store.answer('renew', () => held())
  while (store.open.length > 0) {
    if (store.open[0] === 'acquire') await store.take('acquire').reply(waiting())
    else await store.take('renew').reply(held())
  }
  expect(watched.map(({ target }) => target)).toEqual([first])
  void first.release()
  await turn()
  collect(watched[0]?.held)
  expect(emitted).not.toHaveBeenCalled()
  store.answer('acquire', waiting)
  store.answer('release', () => ({ status: 'released' }))
  await clock.advance(10 * TTL_MS)
  expect(entry.lock?.state).toBe('held')
  // Its own handle, once it is collected, does end it.
  expect(watched.map(({ target }) => target)).toEqual([first, entry.lock])
  collect(watched[1]?.held)
  expect(emitted).toHaveBeenCalledTimes(1)
  await clock.advance(TTL_MS)
  expect(entry.lock?.state).toBe('lost')
})

describe('close', () => {
  test('hands nothing on: who waits is rejected, what is held is released', async () => {
    const { first, entry } = await holdAndWait()
    await clock.advance(1)
    const closing = claims.close()
    await turn()
    expect(entry).toMatchObject({ lock: undefined, error: { code: 'LOCK_CLOSED' } })
    expect(first.state).toBe('released')
    const ids = []
    while (store.open.length > 0) {
      const request = store.take('release')
      ids.push(request.args[1])
      await request.reply({ status: 'released' })
    }
    expect(ids.sort()).toEqual([`${store.session}.1`, `${store.session}.2`])
    await closing
    await expectNoTimer(clock)
    expect(store.open).toEqual([])
  })

  test.each([0, 1, 2, 3, 4, 5, 6])('releases what was handed on %d microtasks ago', async (microtasks) => {
    const { first, entry } = await holdAndWait()
    store.answer('release', () => ({ status: 'released' }))
    const releases = vi.spyOn(store, 'release')
    await clock.advance(1)
    void first.release()
    for (let i = 0; i < microtasks; i++) await Promise.resolve()
    await claims.close()
    await turn()
    expect(releases.mock.calls).toContainEqual(['a', tenureId(), { fencingToken: FIRST + 990 }])
    expect([entry.lock?.state ?? entry.error?.code, clock.pending]).toEqual([expect.stringMatching(/released|LOCK_CLOSED/), 0])
  })

  test('waits for a lock that goes on in the next turn of the event loop only, and gives it back', async () => {
    const first = await hold()
    const entries = Array.from({ length: 40 }, () => wait())
    await turn()
    await store.take('acquire').reply(waiting())
    let nowMs = clock.now()
    vi.spyOn(clock, 'now').mockImplementation(() => nowMs)
    // Each in the same turn, until this has had its share.
    let present: HeldLock | undefined = first
    let count = 0
    while (present !== undefined) {
      nowMs += 0.01
      void present.release()
      for (let i = 0; i < 10; i++) await Promise.resolve()
      present = entries[count]?.lock
      count += 1
    }
    expect(count).toBe(33)
    store.answer('release', () => ({ status: 'released' }))
    const releases = vi.spyOn(store, 'release')
    await claims.close()
    expect(releases.mock.calls.map(([, id]) => id)).toContain(tenureId())
    expect(entries[32]?.error).toMatchObject({ code: 'LOCK_CLOSED' })
  })
})

describe('a query', () => {
  const record = { name: 'a', mode: 'exclusive', permits: 1, limit: 1, ageMs: 5 } as const

  test('shows the present holder where the server does not know it yet, and nothing else differently', async () => {
    const { second } = await handOver()
    await clock.advance(20.7)
    const mine = { ...record, id: tenureId(), info: 'old', fencingToken: FIRST, expiresInMs: 500 }
    const theirs = { ...mine, id: 'other.1' }
    vi.spyOn(store, 'query').mockResolvedValue({ held: [mine, theirs], pending: [] })
    const { held: shown } = await claims.query({ name: 'a' })
    expect(shown).toEqual([{ ...mine, fencingToken: second.fencingToken, info: '["h",1]', ageMs: 20 }, theirs])
  })

  test('leaves a holder as the server has it once that knows it', async () => {
    const { second } = await handOver()
    const mine = { ...record, id: tenureId(), info: 'i', fencingToken: second.fencingToken, expiresInMs: 500 }
    vi.spyOn(store, 'query').mockResolvedValue({ held: [mine], pending: [] })
    expect((await claims.query({})).held).toEqual([mine])
  })

  test('shows who waits behind the first of this process behind all that the server knows', async () => {
    await holdAndWait()
    wait({ metadata: { job: 'x' } })
    wait()
    await clock.advance(30.5)
    const known = { ...record, id: `${store.session}.2`, info: 'i', priority: 0, position: 2 }
    vi.spyOn(store, 'query').mockResolvedValue({ held: [], pending: [{ ...known, id: 'other.1', position: 1 }, known] })
    const { pending } = await claims.query({})
    expect(pending.slice(2)).toEqual([
      { ...record, id: `${store.session}.3`, info: '["h",1,null,{"job":"x"}]', priority: 0, position: 3, ageMs: 30 },
      { ...record, id: `${store.session}.4`, info: '["h",1]', priority: 0, position: 4, ageMs: 30 },
    ])
    expect(pending.slice(0, 2).map(({ id }) => id)).toEqual(['other.1', `${store.session}.2`])
  })

  test('shows them before those elsewhere whose priority is lower', async () => {
    await holdAndWait()
    wait()
    const mine = { ...record, id: `${store.session}.2`, info: 'i', priority: 0, position: 1 }
    const low = { ...mine, id: 'other.1', priority: -1, position: 2 }
    const elsewhere = { ...low, name: 'b', id: 'other.2', position: 1 }
    vi.spyOn(store, 'query').mockResolvedValue({ held: [], pending: [mine, low, elsewhere] })
    const { pending } = await claims.query({})
    expect(pending.map(({ name, id, position }) => [name, id, position])).toEqual([
      ['a', mine.id, 1],
      ['a', `${store.session}.3`, 2],
      ['a', low.id, 3],
      ['b', elsewhere.id, 1],
    ])
  })

  test('shows those of the names that are asked for', async () => {
    await holdAndWait()
    wait()
    const count = async (filter: object) => (await claims.query(filter)).pending.length
    expect(await count({ name: 'a' })).toBe(1)
    expect(await count({ name: 'b' })).toBe(0)
    expect(await count({ prefix: '' })).toBe(1)
    expect(await count({ prefix: 'ab' })).toBe(0)
    expect(await count({})).toBe(1)
  })
})
