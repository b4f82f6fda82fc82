import { describe, expect, test } from 'vitest'
import { type Books, wrongAnywhere, wrongWhereExclusive } from '../../faults/topologies/verdict.js'
import type { Hold, Outcome } from '../../support/contender.js'

/** What the runs with failing servers look for must be found when it is there. */

const hold = (holder: string, fencingToken: number, fromMs: number, toMs: number, more: Partial<Hold> = {}): Hold => ({
  name: 'n',
  holder,
  fencingToken,
  enterNs: BigInt(fromMs * 1e6),
  leaveNs: BigInt(toMs * 1e6),
  lost: false,
  ...more,
})

const write = (holder: string, fencingToken: number, atMs: number, accepted = true) => ({
  name: 'n',
  holder,
  fencingToken,
  atNs: BigInt(atMs * 1e6),
  accepted,
})

/** The books of a run in which nothing happened but what is given. */
function books(holds: Hold[], parts: Partial<Omit<Outcome, 'report'>> & Partial<Books> & { troubles?: string[] } = {}): Books {
  const { troubles = [], proofs = [], exitCode = 0, output = '', writes = [], warnings = [] } = parts
  const claims = { granted: holds.length, busy: 0, timedOut: 0, unavailable: 0, aborted: 0 }
  const report = { holds, claims, lost: 0, unreleased: 0, troubles }
  return { outcomes: [{ report, proofs, exitCode, output }], writes, healedNs: 0n, recoverMs: 1_000, warnings }
}

const WELL = [hold('a', 1, 0, 10), hold('b', 2, 11, 20), hold('a', 3, 21, 30)]

test('nothing where a process warned of what it should', () => {
  const output = '(node:1) [HALOCKSMITH_A] HalocksmithWarning: a\n(Use `node --trace-warnings ...` to show where)\n'
  expect(wrongAnywhere(books(WELL, { output, warnings: ['HALOCKSMITH_A'] }))).toEqual([])
  expect(wrongAnywhere(books(WELL, { output, warnings: ['HALOCKSMITH_B'] }))).toHaveLength(1)
})

test('nothing where all was well', () => {
  const writes = [write('a', 1, 1), write('b', 2, 12), write('a', 1, 13, false), write('b', 2, 14), write('a', 3, 22)]
  const proofs = [{ name: 'n', atNs: BigInt(999e6), why: '' }]
  expect(wrongAnywhere(books(WELL, { writes, proofs }))).toEqual([])
  expect(wrongWhereExclusive(books(WELL, { writes }))).toEqual([])
})

describe('on every topology', () => {
  test.each<[string, Books, RegExp]>([
    ['two holders with one token', books([hold('a', 1, 0, 10), hold('b', 1, 20, 30)]), /token 1 of 'n' is that of a and of b/],
    ['a writer with the token of another', books(WELL, { writes: [write('b', 1, 5)] }), /token 1 of 'n'/],
    ['a stale write', books(WELL, { writes: [write('b', 2, 12), write('a', 1, 13)] }), /a stale write of a to 'n' was accepted: 1 after 2/],
    ['a claim that was told nothing', books(WELL, { troubles: ['a claim hangs'] }), /a claim hangs/],
    ['a name that was not had again', books([], { proofs: [{ name: 'n', atNs: undefined, why: 'busy' }] }), /could not be had again: busy/],
    ['a name that was had late', books([], { proofs: [{ name: 'n', atNs: BigInt(1001e6), why: '' }] }), /only after 1001 ms/],
    ['a process that failed', books(WELL, { exitCode: 1 }), /ended with 1/],
    ['a process that stayed', books(WELL, { exitCode: null }), /not by itself/],
    ['a process that printed something', books(WELL, { output: 'a warning' }), /printed: a warning/],
  ])('%s', (_, wrong, what) => {
    expect(wrongAnywhere(wrong)).toEqual([expect.stringMatching(what)])
  })
})

describe('where no two may be inside at once', () => {
  test.each<[string, Books, RegExp]>([
    ['two inside', books([hold('a', 1, 0, 10), hold('b', 2, 9, 20)]), /entered beside a/],
    ['tokens that do not grow', books([hold('a', 2, 0, 10), hold('b', 1, 11, 20)]), /the token is not above 2/],
    ['a holder that was refused', books(WELL, { writes: [write('b', 2, 15, false)] }), /a write of b .* was refused while it was inside/],
  ])('%s', (_, wrong, what) => {
    expect(wrongWhereExclusive(wrong)).toEqual([expect.stringMatching(what)])
    expect(wrongAnywhere(wrong)).toEqual([])
  })

  test('but not one that came when its lease was over', () => {
    expect(wrongWhereExclusive(books([hold('a', 1, 0, 10), hold('b', 2, 5, 5), hold('a', 3, 11, 12)]))).toEqual([])
  })
})
