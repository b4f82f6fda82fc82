import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/util/clock.js'

const DAY_MS = 24 * 3_600_000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a timer of the system clock', () => {
  test('fires once, after its delay', () => {
    const fire = vi.fn()
    systemClock.after(100, fire)
    vi.advanceTimersByTime(99)
    expect(fire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(fire).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(DAY_MS)
    expect(fire).toHaveBeenCalledTimes(1)
  })

  test('never fires early: a fraction of a millisecond is rounded up', () => {
    const fire = vi.fn()
    systemClock.after(10.2, fire)
    vi.advanceTimersByTime(10)
    expect(fire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(fire).toHaveBeenCalledTimes(1)
  })

  test('whose time has passed fires at the next turn, not at once', () => {
    const fire = vi.fn()
    systemClock.after(-5, fire)
    expect(fire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(fire).toHaveBeenCalledTimes(1)
  })

  test.each([30, 365])('keeps a delay of %d days, which is beyond the limit of setTimeout', (days) => {
    const fire = vi.fn()
    systemClock.after(days * DAY_MS, fire)
    vi.advanceTimersByTime(days * DAY_MS - 1)
    expect(fire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(fire).toHaveBeenCalledTimes(1)
  })

  test('can be cancelled at any time, also in the second of several steps', () => {
    const fire = vi.fn()
    const timer = systemClock.after(60 * DAY_MS, fire)
    vi.advanceTimersByTime(40 * DAY_MS)
    timer.cancel()
    vi.advanceTimersByTime(60 * DAY_MS)
    expect(fire).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('may be cancelled after it fired', () => {
    const timer = systemClock.after(1, () => {})
    vi.advanceTimersByTime(1)
    expect(() => timer.cancel()).not.toThrow()
  })

  test('does not keep the process alive', () => {
    vi.useRealTimers()
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
    const timer = systemClock.after(DAY_MS, () => {})
    expect(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout')).toHaveLength(before)
    timer.cancel()
  })
})

test('the system clock is not the wall clock', () => {
  const before = systemClock.now()
  vi.setSystemTime(Date.now() + 10 * DAY_MS)
  expect(systemClock.now() - before).toBeLessThan(DAY_MS)
})
