import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { activeResources, expectNoMoreResources, heapUsedAfterGc, listenerCounts, moreThan, trackResources } from '../../support/leaks.js'
import { until } from '../../support/until.js'

test('what is more than before', () => {
  expect(moreThan({ a: 2, b: 1 }, { a: 3, b: 1, c: 2 })).toEqual({ a: 1, c: 2 })
  expect(moreThan({ a: 2 }, { a: 1 })).toEqual({})
})

test('a timer that was left behind is found', async () => {
  const before = activeResources()
  const timer = setInterval(() => {}, 60_000)
  expect(moreThan(before, activeResources())).toEqual({ Timeout: 1 })
  await expect(expectNoMoreResources(before, 5)).rejects.toThrow(/left behind: {"Timeout":1}/)
  clearInterval(timer)
  await expectNoMoreResources(before)
})

test('a timer that keeps nothing alive is found too, with where it was made', async () => {
  const tracker = trackResources()
  const timer = setTimeout(() => {}, 60_000).unref()
  expect(tracker.alive().Timeout).toBe(1)
  expect(tracker.origins('Timeout')[0]).toContain('leaks.test.ts')
  clearTimeout(timer)
  // It is told a turn later that it has ended. The timers of until() itself come and go meanwhile.
  await until(() => !tracker.origins('Timeout').some((stack) => /leaks\.test\.ts/.test(stack) && !/until\.ts/.test(stack)))
  tracker.stop()
})

test('listeners of an emitter', () => {
  const emitter = new EventEmitter()
  emitter.on('error', () => {}).on('error', () => {})
  emitter.on('ready', () => {})
  expect(listenerCounts(emitter)).toEqual({ error: 2, ready: 1 })
})

test('the heap shows what is kept, and forgets what is not', () => {
  const before = heapUsedAfterGc()
  let kept: number[][] | undefined = Array.from({ length: 1_000 }, () => new Array(1_000).fill(0.5))
  const grown = heapUsedAfterGc() - before
  expect(kept).toHaveLength(1_000)
  kept = undefined
  expect(grown).toBeGreaterThan(7_000_000)
  expect(heapUsedAfterGc() - before).toBeLessThan(grown / 4)
})
