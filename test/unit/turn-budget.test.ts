import { beforeEach, describe, expect, test } from 'vitest'
import { TurnBudget } from '../../src/acquire/turn-budget.js'
import { turn } from '../support/fake-store.js'

const MOST_STEPS = 32

let budget: TurnBudget
let taken: number[]

beforeEach(() => {
  budget = new TurnBudget()
  taken = []
})

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Wants so many steps, all at the same moment. */
function spend(count: number, nowMs = 0): void {
  for (const i of upTo(count)) budget.spend(nowMs, () => taken.push(i))
}

describe('in one turn of the event loop', () => {
  test('32 steps are taken at once', () => {
    spend(MOST_STEPS)
    expect(taken).toEqual(upTo(MOST_STEPS))
  })

  test('the rest waits for the next turn, in its order', async () => {
    spend(MOST_STEPS + 3)
    expect(taken).toEqual(upTo(MOST_STEPS))
    await Promise.resolve()
    expect(taken).toHaveLength(MOST_STEPS)
    await turn()
    expect(taken).toEqual(upTo(MOST_STEPS + 3))
  })

  test.each([
    [0.99, 2],
    [1, 1],
  ])('%d ms after the first step, %d have been taken', async (laterMs, count) => {
    budget.spend(10, () => taken.push(0))
    budget.spend(10 + laterMs, () => taken.push(1))
    expect(taken).toHaveLength(count)
    await turn()
    expect(taken).toEqual([0, 1])
  })
})

describe('the next turn', () => {
  test('begins anew, also after one that took no more than its share', async () => {
    for (let round = 0; round < 3; round++) {
      taken = []
      spend(MOST_STEPS, round * 100)
      expect(taken).toHaveLength(MOST_STEPS)
      await turn()
    }
  })

  test('is there for others too: a chain of steps that goes on for ever lets timers and messages come', async () => {
    let steps = 0
    let stopped = false
    const step = () => {
      steps += 1
      // As a lock goes on: whoever gets it runs a microtask later, and hands it on.
      if (!stopped) void Promise.resolve().then(() => budget.spend(0, step))
    }
    budget.spend(0, step)
    for (let round = 1; round <= 5; round++) {
      await turn()
      expect(steps).toBeGreaterThan((round - 1) * MOST_STEPS)
      expect(steps).toBeLessThanOrEqual((round + 1) * (MOST_STEPS + 1))
    }
    stopped = true
    await turn()
  })
})

test('what waits for the next turn can be had at once, and is taken once', async () => {
  spend(MOST_STEPS + 2)
  budget.flush()
  expect(taken).toEqual(upTo(MOST_STEPS + 2))
  await turn()
  expect(taken).toHaveLength(MOST_STEPS + 2)
})
