import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { checkIntervals, type HistoryRecord, readHistory } from '../../support/history.js'
import { jainIndex, percentile } from '../../support/statistics.js'
import { Witness } from '../../support/workers/witness.mjs'

type Stay = Partial<Pick<HistoryRecord, 'name' | 'holder' | 'permits' | 'exclusive'>> & { from: number; to?: number; token: number }

/** Records of stays, in a wrong order on purpose. */
function history(...stays: Stay[]): HistoryRecord[] {
  const records = stays.flatMap(({ from, to, token, ...rest }, index) => {
    const stay = { name: 'n', holder: `h${index}`, fencingToken: token, permits: 1, exclusive: true, ...rest }
    const enter = { ...stay, kind: 'in' as const, atNs: BigInt(from) }
    return to === undefined ? [enter] : [enter, { ...stay, kind: 'out' as const, atNs: BigInt(to) }]
  })
  return records.reverse()
}

const shared = { exclusive: false }

describe('a history is fine', () => {
  test.each<[string, HistoryRecord[], number, number]>([
    ['when nothing happened', [], 1, 0],
    ['one after another, even in the same nanosecond', history({ from: 1, to: 2, token: 1 }, { from: 2, to: 4, token: 2 }), 1, 1],
    ['at once, on two names', history({ from: 1, to: 9, token: 5 }, { from: 2, to: 4, token: 2, name: 'm' }), 1, 1],
    [
      'two of a semaphore of two, in whatever order they were granted',
      history({ from: 1, to: 9, token: 6, ...shared }, { from: 2, to: 4, token: 5, ...shared }),
      2,
      2,
    ],
    [
      'readers together, and a writer between',
      history(
        { from: 1, to: 9, token: 2, ...shared },
        { from: 2, to: 8, token: 1, ...shared },
        { from: 10, to: 12, token: 3 },
        { from: 13, to: 14, token: 4, ...shared },
      ),
      Number.POSITIVE_INFINITY,
      2,
    ],
  ])('%s', (_, records, limit, maxInside) => {
    expect(checkIntervals(records, limit)).toEqual({
      entries: records.filter(({ kind }) => kind === 'in').length,
      maxInside,
      violations: [],
    })
  })

  test('when who never left was killed before the next one entered', () => {
    const records = history({ from: 1, token: 1 }, { from: 5, to: 6, token: 2 })
    expect(checkIntervals(records, 1, new Map([['h0', 4n]])).violations).toEqual([])
    expect(checkIntervals(records, 1, new Map([['h0', 6n]])).violations).not.toEqual([])
  })
})

describe('a history is not fine', () => {
  test.each<[string, HistoryRecord[], number, RegExp]>([
    ['two at once', history({ from: 1, to: 3, token: 1 }, { from: 2, to: 4, token: 2 }), 1, /^entered beside h0/],
    ['who never left', history({ from: 1, token: 1 }, { from: 2, to: 4, token: 2 }), 1, /^entered beside h0/],
    [
      'two permits and two more of three',
      history({ from: 1, to: 3, token: 1, permits: 2, ...shared }, { from: 2, to: 4, token: 2, permits: 2, ...shared }),
      3,
      /^4 permits of 3/,
    ],
    [
      'a reader beside a writer',
      history({ from: 1, to: 3, token: 1 }, { from: 2, to: 4, token: 2, ...shared }),
      Number.POSITIVE_INFINITY,
      /beside/,
    ],
    [
      'a writer beside a reader',
      history({ from: 1, to: 3, token: 1, ...shared }, { from: 2, to: 4, token: 2 }),
      Number.POSITIVE_INFINITY,
      /beside/,
    ],
    ['a token that is smaller', history({ from: 1, to: 2, token: 9 }, { from: 3, to: 4, token: 8 }), 1, /^the token is not above 9/],
    ['a token twice', history({ from: 1, to: 4, token: 9, ...shared }, { from: 3, to: 4, token: 9, ...shared }), 2, /used before/],
    [
      "a reader's token that is below that of the writer before",
      history({ from: 1, to: 2, token: 9 }, { from: 3, to: 4, token: 8, ...shared }),
      Number.POSITIVE_INFINITY,
      /not above 9/,
    ],
    ['to leave without having entered', history({ from: 1, to: 4, token: 1 }).slice(0, 1), 1, /^left without/],
    [
      'to enter twice',
      history({ from: 1, to: 4, token: 1, holder: 'h', ...shared }, { from: 2, token: 2, holder: 'h', ...shared }),
      3,
      /^entered twice/,
    ],
  ])('%s', (_, records, limit, violation) => {
    expect(checkIntervals(records, limit).violations).toContainEqual(expect.stringMatching(violation))
  })
})

test('what the witness wrote is what the reader reads', () => {
  const folder = mkdtempSync(join(tmpdir(), 'halocksmith-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'witness')
  const stay = { name: 'a "name"\n\u{1f512}', holder: '1.2', fencingToken: 1769000000000001, permits: 2, exclusive: false }
  const [one, other] = [new Witness(file), new Witness(file)]
  one.enter(stay)
  other.enter({ ...stay, holder: '1.3' })
  one.leave(stay, 7n)
  for (const witness of [one, other]) witness.close()
  const records = readHistory(file)
  expect(records.map(({ kind, holder }) => [kind, holder])).toEqual([
    ['in', '1.2'],
    ['in', '1.3'],
    ['out', '1.2'],
  ])
  expect(records[2]).toEqual({ kind: 'out', atNs: 7n, ...stay })
  expect(records[1]?.atNs).toBeGreaterThanOrEqual(records[0]?.atNs ?? 0n)
})

test.each<[number[], number]>([
  [[5, 5, 5, 5], 1],
  [[8, 0, 0, 0], 0.25],
  [[1, 2, 3], 36 / 42],
  [[], 1],
  [[0, 0], 1],
])('the Jain index of %j', (counts, index) => {
  expect(jainIndex(counts)).toBeCloseTo(index, 12)
})

test.each([
  [0, 1],
  [50, 5],
  [51, 6],
  [99, 10],
  [100, 10],
])('percentile %i of one to ten', (percent, value) => {
  expect(percentile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], percent)).toBe(value)
})

test('no percentile of nothing', () => {
  expect(percentile([], 50)).toBeNaN()
})
