import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SPARE_TOKENS } from '../../src/store/store.js'
import { HAND_OVER } from '../support/claims.js'
import { makeTenure, type TenureParts } from '../support/tenures.js'

const START_MS = 1_000
const FIRST = 1_000_000
const WINDOW_MS = 5_000
const ALONE = Number.POSITIVE_INFINITY

const tenureOf = (parts: TenureParts = {}) => makeTenure(START_MS, { fencingToken: FIRST, canHandOn: true, othersWait: false, ...parts })

describe('the tokens of an exclusive lock', () => {
  test('follow the time, at 990 a millisecond', () => {
    const tenure = tenureOf()
    expect(tenure.handOn(START_MS + 1, 0, ALONE, HAND_OVER, WINDOW_MS)).toBe(FIRST + 990)
    expect(tenure.handOn(START_MS + 1.5, 0, ALONE, HAND_OVER, WINDOW_MS)).toBe(FIRST + 1_485)
    expect([tenure.firstToken, tenure.lastToken]).toEqual([FIRST, FIRST + 1_485])
  })

  test('are not there twice: too soon after the last, the lock is not handed on', () => {
    const tenure = tenureOf()
    expect(tenure.handOn(START_MS, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeUndefined()
    expect(tenure.wasHandedOn).toBe(false)
    expect(tenure.handOn(START_MS + 0.01, 0, ALONE, HAND_OVER, WINDOW_MS)).toBe(FIRST + 9)
    expect(tenure.handOn(START_MS + 0.0105, 0, ALONE, HAND_OVER, WINDOW_MS)).toBe(FIRST + 10)
    expect(tenure.handOn(START_MS + 0.0106, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeUndefined()
    expect(tenure.lastToken).toBe(FIRST + 10)
  })

  test('grow, and are never ahead of what the server gives at that time', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 300, noNaN: true }), { maxLength: 40 }), (pauses) => {
        const tenure = tenureOf()
        let [nowMs, last] = [START_MS, FIRST]
        for (const pauseMs of pauses) {
          nowMs += pauseMs
          const token = tenure.handOn(nowMs, 0, ALONE, HAND_OVER, WINDOW_MS)
          if (token === undefined) continue
          expect(Number.isSafeInteger(token)).toBe(true)
          expect(token).toBeGreaterThan(last)
          // A server whose clock is slower by a hundredth.
          expect(token).toBeLessThanOrEqual(FIRST + (nowMs - START_MS) * 990)
          last = token
        }
        expect(tenure.lastToken).toBe(last)
      }),
    )
  })

  test('that was pushed count from when it was heard of, which is later than the grant', () => {
    const tenure = tenureOf({ pushed: true, validUntilMs: START_MS + WINDOW_MS })
    expect(tenure.handOn(START_MS + 2, 0, ALONE, HAND_OVER, WINDOW_MS)).toBe(FIRST + 1_980)
  })
})

test('a counted grant has fifteen tokens more, whatever the time is', () => {
  const tenure = tenureOf({ mode: 'counted', permits: 2, limit: 5 })
  const tokens = Array.from({ length: SPARE_TOKENS }, () => tenure.handOn(START_MS, 0, ALONE, HAND_OVER, WINDOW_MS))
  expect(tokens).toEqual(Array.from({ length: SPARE_TOKENS }, (_, i) => FIRST + 1 + i))
  expect(tenure.handOn(START_MS + 1_000, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeUndefined()
  expect(tenure.lastToken).toBe(FIRST + SPARE_TOKENS)
})

describe('it is not handed on', () => {
  const later = (tenure: ReturnType<typeof tenureOf>, limits = HAND_OVER) => tenure.handOn(START_MS + 1, 0, ALONE, limits, WINDOW_MS)

  test.each([undefined, false])('when larger tokens are not its own: %s', (canHandOn) => {
    expect(later(tenureOf({ canHandOn }))).toBeUndefined()
  })

  test('when somebody outside of this process may speak for it', () => {
    const tenure = tenureOf()
    tenure.seal()
    expect(later(tenure)).toBeUndefined()
    expect(tenure.wasHandedOn).toBe(false)
  })

  test('when handing on is switched off, be nobody else there or not', () => {
    expect(later(tenureOf(), { most: 0, forMs: 50 })).toBeUndefined()
  })

  test.each([
    ['a long lease that nobody confirmed: two thirds of a claim window', 30_000, 2 / 3],
    ['one that is shorter than a claim window: two thirds of it', 600, 2 / 3],
  ])('with too little left of %s', (_, ttlMs, part) => {
    const leastMs = Math.min(WINDOW_MS, ttlMs) * part
    const validUntilMs = START_MS + Math.min(ttlMs, WINDOW_MS)
    const tenure = tenureOf({ ttlMs, validUntilMs })
    expect(tenure.handOn(validUntilMs - leastMs + 0.1, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeUndefined()
    expect(tenure.handOn(validUntilMs - leastMs - 0.1, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeGreaterThan(FIRST)
    tenure.confirm(validUntilMs + 100, ttlMs)
    expect(tenure.handOn(validUntilMs - leastMs + 0.1, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeGreaterThan(FIRST)
  })

  test('with a lease that was made longer than the next one asks for', () => {
    const tenure = tenureOf({ ttlMs: 1_000 })
    tenure.confirm(START_MS + 60_000, 60_000)
    expect(later(tenure)).toBeUndefined()
    expect(tenure.handOn(START_MS + 59_100, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeGreaterThan(FIRST)
  })
})

describe('while nobody else waits', () => {
  test('it is handed on as often and as long as one likes', () => {
    const tenure = tenureOf({ validUntilMs: START_MS + 30_000 })
    for (let i = 1; i <= 1_000; i++) expect(tenure.handOn(START_MS + i, 0, ALONE, HAND_OVER, WINDOW_MS)).toBe(FIRST + 990 * i)
  })
})

describe('while others wait', () => {
  test('it is handed on sixteen times', () => {
    const tenure = tenureOf()
    for (let i = 1; i <= 16; i++) expect(tenure.handOn(START_MS + i, 0, START_MS, HAND_OVER, WINDOW_MS)).toBe(FIRST + 990 * i)
    expect(tenure.handOn(START_MS + 17, 0, START_MS, HAND_OVER, WINDOW_MS)).toBeUndefined()
    expect(tenure.lastToken).toBe(FIRST + 990 * 16)
  })

  test('it is handed on for 50 ms', () => {
    const tenure = tenureOf()
    expect(tenure.handOn(START_MS + 49.9, 0, START_MS, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 50, 0, START_MS, HAND_OVER, WINDOW_MS)).toBeUndefined()
  })

  test('their time counts from when they came, and what was before is not counted', () => {
    const tenure = tenureOf()
    for (let i = 1; i <= 100; i++) tenure.handOn(START_MS + i, 0, ALONE, HAND_OVER, WINDOW_MS)
    const cameMs = START_MS + 100
    for (let i = 1; i <= 16; i++) expect(tenure.handOn(cameMs + i, 0, cameMs, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(cameMs + 17, 0, cameMs, HAND_OVER, WINDOW_MS)).toBeUndefined()
  })

  test('their time counts from the grant where they came before that: each grant has its share', () => {
    const tenure = tenureOf()
    expect(tenure.handOn(START_MS + 49, 0, START_MS - 10_000, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 50, 0, START_MS - 10_000, HAND_OVER, WINDOW_MS)).toBeUndefined()
  })

  test('later news that they wait is no new share', () => {
    const tenure = tenureOf()
    expect(tenure.handOn(START_MS + 10, 0, START_MS + 5, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 54, 0, START_MS + 40, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 55, 0, START_MS + 54, HAND_OVER, WINDOW_MS)).toBeUndefined()
  })

  test('it does not go to a lower priority than the present one: who waits elsewhere may have more', () => {
    const tenure = tenureOf({ priority: 1 })
    expect(tenure.handOn(START_MS + 1, 0, START_MS, HAND_OVER, WINDOW_MS)).toBeUndefined()
    expect(tenure.handOn(START_MS + 2, 1, START_MS, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 3, 2, START_MS, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 4, 1, START_MS, HAND_OVER, WINDOW_MS)).toBeUndefined()
    // While nobody else waits, priority is a matter of those here alone.
    expect(tenure.handOn(START_MS + 5, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 6, 0, START_MS, HAND_OVER, WINDOW_MS)).toBeDefined()
  })

  test('and have gone again, counting begins anew', () => {
    const tenure = tenureOf()
    for (let i = 1; i <= 16; i++) tenure.handOn(START_MS + i, 0, START_MS, HAND_OVER, WINDOW_MS)
    expect(tenure.handOn(START_MS + 20, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeDefined()
    for (let i = 1; i <= 16; i++) expect(tenure.handOn(START_MS + 20 + i, 0, START_MS + 20, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 37, 0, START_MS + 20, HAND_OVER, WINDOW_MS)).toBeUndefined()
  })
})

describe('while it is not known whether others wait', () => {
  test.each([true, undefined])('they do, from the grant on, if that did not say otherwise: %s', (othersWait) => {
    const tenure = tenureOf({ othersWait })
    expect(tenure.handOn(START_MS + 49, 0, undefined, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 50, 0, undefined, HAND_OVER, WINDOW_MS)).toBeUndefined()
  })

  test('they may have come since the grant said that there are none: it counts as if they had', () => {
    const tenure = tenureOf({ othersWait: false })
    for (let i = 1; i <= 16; i++) expect(tenure.handOn(START_MS + 100 + i, 0, undefined, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 117, 0, undefined, HAND_OVER, WINDOW_MS)).toBeUndefined()
    // The server says that there are none.
    expect(tenure.handOn(START_MS + 118, 0, ALONE, HAND_OVER, WINDOW_MS)).toBeDefined()
    expect(tenure.handOn(START_MS + 119, 0, undefined, HAND_OVER, WINDOW_MS)).toBeDefined()
  })

  test('what was known of them is not forgotten', () => {
    const tenure = tenureOf({ othersWait: false })
    for (let i = 1; i <= 16; i++) tenure.handOn(START_MS + i, 0, i % 2 === 0 ? START_MS : undefined, HAND_OVER, WINDOW_MS)
    expect(tenure.handOn(START_MS + 17, 0, undefined, HAND_OVER, WINDOW_MS)).toBeUndefined()
  })
})

describe('a confirmation', () => {
  test('makes the lease last, and never shortens it', () => {
    const tenure = tenureOf({ validUntilMs: 6_000 })
    tenure.confirm(9_000, 3_000)
    tenure.confirm(8_000, 3_000)
    expect(tenure.validUntilMs).toBe(9_000)
  })

  test('of more than the present makes a pushed grant a whole one', () => {
    const tenure = tenureOf({ pushed: true })
    expect(tenure.isProvisional).toBe(true)
    tenure.confirm(5_000, 1)
    expect(tenure.isProvisional).toBe(true)
    tenure.confirm(5_000, 30_000)
    expect(tenure.isProvisional).toBe(false)
  })

  test('is not needed for what a reply granted', () => {
    expect(tenureOf().isProvisional).toBe(false)
  })
})
