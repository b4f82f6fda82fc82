import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { LockLostError, LockUnavailableError } from '../../src/errors.js'
import type { LeaseState } from '../../src/lease/lease.js'
import type { HeldLock, ReleaseOutcome } from '../../src/primitives/held-lock.js'
import { acquisitionOrder, MultiHeldLock } from '../../src/primitives/multi-held-lock.js'
import { parseSerialized } from '../../src/primitives/serialized.js'

class Part implements HeldLock {
  readonly controller = new AbortController()
  readonly names: readonly string[]
  state: LeaseState = 'held'
  remainingMs = 100
  outcome: ReleaseOutcome | Error = { released: true }
  extended: (number | undefined)[] = []

  constructor(
    readonly name: string,
    readonly fencingToken: number,
    private readonly log: string[],
  ) {
    this.names = [name]
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  assertHeld(): void {
    if (this.state !== 'held' && this.state !== 'unknown') throw new LockLostError(`${this.name} is gone`, { key: this.name })
  }

  async extend(ttlMs?: number): Promise<void> {
    this.assertHeld()
    this.extended.push(ttlMs)
  }

  async release(): Promise<ReleaseOutcome> {
    this.log.push(this.name)
    if (this.outcome instanceof Error) throw this.outcome
    return this.outcome
  }

  serialize(): string {
    const lock = { name: this.name, id: 'AAAAAAAAAAAAAAAAAAAAAA.1', ttlMs: 100, autoExtend: true, fencingToken: this.fencingToken }
    return JSON.stringify({ version: 1, locks: [lock] })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}

let released: string[]
let a: Part
let b: Part
let lock: MultiHeldLock

beforeEach(() => {
  released = []
  a = new Part('a', 5, released)
  b = new Part('b', 9, released)
  lock = new MultiHeldLock([a, b])
})

describe('the order of acquisition', () => {
  test('is the same whatever the order of the names, each once', () => {
    expect(acquisitionOrder(['b', 'a', 'b', ''])).toEqual(['', 'a', 'b'])
    fc.assert(
      fc.property(fc.uniqueArray(fc.string()), (names) => {
        expect(acquisitionOrder(names.toReversed())).toEqual(acquisitionOrder(names))
        expect(new Set(acquisitionOrder(names))).toEqual(new Set(names))
      }),
    )
  })

  test('is by code units, in every locale', () => {
    expect(acquisitionOrder(['ä', 'z', 'Z', 'a', '10', '9'])).toEqual(['10', '9', 'Z', 'a', 'z', 'ä'])
  })

  test('does not change the list', () => {
    const names = Object.freeze(['b', 'a'])
    expect(acquisitionOrder(names)).toEqual(['a', 'b'])
  })
})

test('it has all names, the largest token and the least time', () => {
  b.remainingMs = 50
  expect(lock).toMatchObject({ name: 'a, b', names: ['a', 'b'], fencingToken: 9, remainingMs: 50 })
  expect(Object.isFrozen(lock.names)).toBe(true)
})

test.each([
  ['held', 'held', 'held'],
  ['held', 'unknown', 'unknown'],
  ['unknown', 'released', 'released'],
  ['released', 'lost', 'lost'],
  ['lost', 'held', 'lost'],
] as const)('%s and %s is %s', (first, second, both) => {
  a.state = first
  b.state = second
  expect(lock.state).toBe(both)
})

test('the loss of one is a loss of all', () => {
  const reason = new LockLostError('b is gone')
  expect(lock.signal.aborted).toBe(false)
  b.state = 'lost'
  b.controller.abort(reason)
  expect(lock.signal.aborted).toBe(true)
  expect(lock.signal.reason).toBe(reason)
  expect(() => lock.assertHeld()).toThrow('b is gone')
})

test('made of parts of which one is lost already, it is lost', () => {
  const reason = new LockLostError('a is gone')
  a.controller.abort(reason)
  expect(new MultiHeldLock([a, b]).signal.reason).toBe(reason)
})

test('extend() extends each', async () => {
  await lock.extend(500)
  await lock.extend()
  expect([a.extended, b.extended]).toEqual([
    [500, undefined],
    [500, undefined],
  ])
  b.state = 'lost'
  await expect(lock.extend()).rejects.toBeInstanceOf(LockLostError)
})

describe('release', () => {
  test('releases all, the last acquired first', async () => {
    await expect(lock.release()).resolves.toEqual({ released: true })
    expect(released).toEqual(['b', 'a'])
  })

  test.each([
    [{ released: false, reason: 'lost' as const }, { released: true }],
    [{ released: true }, { released: false, reason: 'lost' as const }],
    [
      { released: false, reason: 'already released' as const },
      { released: false, reason: 'lost' as const },
    ],
  ])('is a loss if one was lost', async (first, second) => {
    a.outcome = first
    b.outcome = second
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'lost' })
    expect(released).toHaveLength(2)
  })

  test('again: it was released already', async () => {
    a.outcome = { released: false, reason: 'already released' }
    b.outcome = { released: false, reason: 'already released' }
    await expect(lock.release()).resolves.toEqual({ released: false, reason: 'already released' })
  })

  test('that fails for one releases the others all the same', async () => {
    b.outcome = new LockUnavailableError('refused')
    await expect(lock.release()).rejects.toThrow('refused')
    expect(released).toEqual(['b', 'a'])
  })

  test('by hand, as `await using` does it', async () => {
    await lock[Symbol.asyncDispose]()
    expect(released).toEqual(['b', 'a'])
  })
})

test('serialize() has each', () => {
  expect(parseSerialized(lock.serialize()).map(({ name, fencingToken }) => [name, fencingToken])).toEqual([
    ['a', 5],
    ['b', 9],
  ])
})
