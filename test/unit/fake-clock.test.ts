import { expect, test } from 'vitest'
import { FakeClock } from '../../src/testing/fake-clock.js'

test('timers fire in the order of their time, each at its own moment, equal ones as they were set', async () => {
  const clock = new FakeClock(0)
  const fired: [string, number][] = []
  const set = (name: string, ms: number) => clock.after(ms, () => fired.push([name, clock.now()]))
  set('late', 30)
  set('early', 10)
  set('equal', 30)
  set('never', 31)
  await clock.advance(30)
  expect(fired).toEqual([
    ['early', 10],
    ['late', 30],
    ['equal', 30],
  ])
  expect([clock.now(), clock.pending]).toEqual([30, 1])
})

test('what a timer sets in motion is seen before the next one fires, timers that it sets included', async () => {
  const clock = new FakeClock(0)
  const seen: string[] = []
  clock.after(10, () => {
    void Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => seen.push(`promise at ${clock.now()}`))
    clock.after(5, () => seen.push(`timer at ${clock.now()}`))
  })
  clock.after(20, () => seen.push(`last at ${clock.now()}`))
  await clock.advance(20)
  expect(seen).toEqual(['promise at 10', 'timer at 15', 'last at 20'])
})

test('a cancelled timer does not fire, and to cancel again does no harm', async () => {
  const clock = new FakeClock(0)
  let fired = 0
  const timer = clock.after(5, () => (fired += 1))
  timer.cancel()
  timer.cancel()
  await clock.advance(10)
  const other = clock.after(-1, () => (fired += 1))
  expect(fired).toBe(0)
  await clock.advance(0)
  other.cancel()
  expect([fired, clock.pending]).toEqual([1, 0])
})
