import { describe, expect, test } from 'vitest'
import { HybridClock } from '../../src/store/quorum/hybrid-clock.js'
import { merge } from '../../src/store/quorum/overview.js'
import { poll } from '../../src/store/quorum/poll.js'
import { type HolderRecord, StoreFailure, type WaiterRecord } from '../../src/store/store.js'

const voters = ['a:1', 'b:2', 'c:3'].map((describe) => ({ describe }))
const never = new Promise<never>(() => {})
const unreachable = (text: string) => Promise.reject(new StoreFailure('unreachable', text))

describe('a poll', () => {
  const majority = (answers: Promise<number>[]) =>
    poll(
      voters,
      (_, i) => answers[i] as Promise<number>,
      (returns) => returns.number() >= 2 || undefined,
    )

  test('is decided by a majority, whatever the others do', async () => {
    expect(await majority([never, Promise.resolve(0), Promise.resolve(0)])).toBe(true)
    expect(await majority([unreachable('x'), Promise.resolve(0), Promise.resolve(0)])).toBe(true)
  })

  test('fails as soon as there can be no majority, and names every server that gave no answer', async () => {
    await expect(majority([unreachable('refused'), unreachable('b:2: reset'), never])).rejects.toMatchObject({
      kind: 'unreachable',
      message: 'fewer than 2 of 3 servers answered: a:1: refused; b:2: reset; c:3: no answer',
    })
  })

  test('asking again helps, unless a majority refuses for good', async () => {
    const refused = Promise.reject(new StoreFailure('refused', 'NOAUTH'))
    refused.catch(() => {})
    await expect(majority([refused, unreachable('x'), Promise.resolve(1)])).rejects.toMatchObject({ kind: 'unreachable' })
    await expect(majority([refused, refused, Promise.resolve(1)])).rejects.toMatchObject({ kind: 'refused' })
  })

  test('that comes to nothing fails', async () => {
    await expect(
      poll(
        voters,
        async () => 1,
        () => undefined,
      ),
    ).rejects.toBeInstanceOf(StoreFailure)
  })
})

describe('proposed times', () => {
  test('only grow, and follow the clock', () => {
    let wallMs = 1_000
    const clock = new HybridClock(() => wallMs)
    expect([clock.next(), clock.next()]).toEqual([1_000_000, 1_000_001])
    wallMs = 2_000
    expect(clock.next()).toBe(2_000_000)
    wallMs = 500
    expect(clock.next()).toBe(2_000_001)
  })

  test('lie behind everything that was seen', () => {
    const clock = new HybridClock(() => 1)
    clock.see(5_000_000)
    expect(clock.next()).toBe(5_000_001)
    clock.see(3)
    expect(clock.next()).toBe(5_000_002)
  })
})

describe('an overview of several servers', () => {
  const holder = (id: string, fencingToken: number, expiresInMs: number): HolderRecord => {
    return { name: 'n', id, mode: 'exclusive', permits: 1, limit: 1, info: '', ageMs: 0, fencingToken, expiresInMs }
  }
  const waiter = (id: string, position: number): WaiterRecord => {
    return { name: 'n', id, mode: 'exclusive', permits: 1, limit: 1, info: '', ageMs: 0, priority: 0, position }
  }

  test('shows who holds on a majority, for as long as a majority keeps it', () => {
    const views = [3_000, 1_000, 2_000].map((ms, i) => ({
      held: [holder('a', 5 + i, ms), ...(i === 0 ? [holder('ghost', 9, 9_000)] : [])],
      pending: [],
    }))
    expect(merge(views, 2)).toEqual({ held: [holder('a', 7, 2_000)], pending: [] })
  })

  test('shows who waits on a majority, or is granted by too few, and closes the gaps', () => {
    const views = [
      { held: [holder('a', 5, 1_000)], pending: [waiter('b', 1), waiter('c', 2), waiter('lone', 3)] },
      { held: [holder('a', 5, 1_000)], pending: [waiter('b', 1), waiter('c', 2)] },
      { held: [holder('b', 6, 1_000)], pending: [waiter('a', 1), waiter('c', 2)] },
    ]
    const { held, pending } = merge(views, 2)
    expect(held.map(({ id }) => id)).toEqual(['a'])
    expect(pending).toEqual([waiter('b', 1), waiter('c', 2)])
  })
})
