import { describe, expect, test } from 'vitest'
import { deadlineMs, renewalDueMs, retryDelayMs, safetyMarginMs } from '../../src/lease/validity.js'

const LEASES_MS = [20, 100, 1_000, 30_000, 120_000, 3_600_000, 365 * 24 * 3_600_000]

describe('the safety margin', () => {
  test.each([
    [20, 10.2],
    [1_000, 20],
    [30_000, 310],
    [99_000, 1_000],
    [3_600_000, 1_000],
  ])('of a lease of %d ms is %d ms', (leaseMs, marginMs) => {
    expect(safetyMarginMs(leaseMs)).toBeCloseTo(marginMs)
  })

  test('leaves something of every lease that is allowed, and keeps at least 10 ms back', () => {
    for (const leaseMs of LEASES_MS) {
      expect(safetyMarginMs(leaseMs)).toBeLessThan(leaseMs)
      expect(safetyMarginMs(leaseMs)).toBeGreaterThanOrEqual(10)
    }
  })
})

test('the deadline is the margin of the lease before its end', () => {
  expect(deadlineMs(10_000, 1_000)).toBe(9_980)
  for (const leaseMs of LEASES_MS) expect(deadlineMs(5_000 + leaseMs, leaseMs)).toBeLessThan(5_000 + leaseMs)
})

describe('a renewal', () => {
  test('is due when a third of the lease has passed at the latest, and up to a fifteenth of the lease sooner', () => {
    const deadline = deadlineMs(30_000, 30_000)
    expect(renewalDueMs(deadline, 30_000, 0)).toBeCloseTo(deadline - 20_000)
    expect(renewalDueMs(deadline, 30_000, 1)).toBeCloseTo(deadline - 22_000)
    expect(renewalDueMs(deadline, 30_000)).toBeLessThanOrEqual(10_000)
  })

  test('leaves time for two more before the deadline', () => {
    const due = renewalDueMs(30_000, 30_000, 0)
    expect(30_000 - due).toBeGreaterThanOrEqual(2 * (30_000 / 3))
  })
})

describe('the delay after a renewal that failed', () => {
  test.each([
    ['an eighth of what is left', 4_000, 500],
    ['at most a second', 3_600_000, 1_000],
    ['at least 25 ms', 10, 25],
    ['at least 25 ms when nothing is left', -500, 25],
  ])('is %s', (_, remainingMs, delayMs) => {
    expect(retryDelayMs(remainingMs, 0.5)).toBeCloseTo(delayMs)
    expect(retryDelayMs(remainingMs, 0)).toBeCloseTo(delayMs * 0.75)
    expect(retryDelayMs(remainingMs, 1)).toBeCloseTo(delayMs * 1.25)
  })

  test('allows for several attempts in what is left', () => {
    let leftMs = 20_000
    let attempts = 0
    while (leftMs > 0) {
      leftMs -= retryDelayMs(leftMs, 1)
      attempts += 1
    }
    expect(attempts).toBeGreaterThan(10)
  })
})
