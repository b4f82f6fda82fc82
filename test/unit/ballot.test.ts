import { describe, expect, test } from 'vitest'
import { Ballot } from '../../src/store/quorum/ballot.js'
import { type ClaimReply, type ClaimRequest, SPARE_TOKENS } from '../../src/store/store.js'

const REQUEST: ClaimRequest = {
  ...{ name: 'n', id: 's.1', mode: 'exclusive', permits: 1, limit: 0, ttlMs: 1_000, priority: 0, ticket: 0, queue: true, info: '' },
}
const NOW = 100

const granted = (fencingToken: number, validUntilMs = 500, othersWait = false): ClaimReply => {
  return { status: 'granted', fencingToken, validUntilMs, othersWait }
}
const waiting = (nextEndMs: number, waiters = 1): ClaimReply => ({ status: 'waiting', ticket: 7, nextEndMs, waiters })

function ballotOf(replies: readonly (ClaimReply | undefined)[], request: Partial<ClaimRequest> = {}): Ballot {
  const ballot = new Ballot({ ...REQUEST, ...request }, 7, replies.length)
  for (const [i, reply] of replies.entries()) if (reply !== undefined) ballot.answer(i, reply, ballot.pushesSoFar(i))
  return ballot
}

describe('a majority that has granted', () => {
  test.each([
    { of: 2, needs: 2 },
    { of: 3, needs: 2 },
    { of: 4, needs: 3 },
    { of: 5, needs: 3 },
    { of: 6, needs: 4 },
  ])('is $needs of $of', ({ of, needs }) => {
    const votes = (count: number) => Array.from({ length: of }, (_, i) => (i < count ? granted(9) : waiting(300)))
    expect(ballotOf(votes(needs - 1)).grant(NOW)).toBeUndefined()
    expect(ballotOf(votes(needs)).grant(NOW)).toMatchObject({ grant: { fencingToken: 9 }, isKnown: true })
  })

  test('keeps its lease until the first of the smallest majority ends', () => {
    const { grant } = ballotOf([granted(9, 300), granted(9, 900), granted(9, 600)]).grant(NOW) ?? {}
    expect(grant?.validUntilMs).toBe(600)
  })

  test('does not count what is over', () => {
    expect(ballotOf([granted(9, 100), granted(9, 500), undefined]).grant(NOW)).toBeUndefined()
  })

  test('knows of others unless a majority has none', () => {
    expect(ballotOf([granted(9), granted(9, 500, true), undefined]).grant(NOW)?.grant.othersWait).toBe(true)
    expect(ballotOf([granted(9), granted(9, 500, true), granted(9)]).grant(NOW)?.grant.othersWait).toBe(false)
    expect(ballotOf([granted(9), granted(9), undefined]).grant(NOW)?.grant.othersWait).toBe(false)
  })

  test('gives spare tokens, and none by the time', () => {
    expect(ballotOf([granted(9), granted(9)]).grant(NOW)?.grant).toMatchObject({ canHandOn: true, spareTokensOnly: true })
    const last = Number.MAX_SAFE_INTEGER - SPARE_TOKENS + 1
    expect(ballotOf([granted(last), granted(last)]).grant(NOW)?.grant.canHandOn).toBe(false)
  })
})

describe('the token', () => {
  test.each([
    { tokens: [5, 5, 5], token: 5, isKnown: true },
    { tokens: [5, 5, undefined], token: 5, isKnown: true },
    // Of any two servers one knows the last token; the larger of the two is beyond it.
    { tokens: [5, 8, undefined], token: 8, isKnown: false },
    { tokens: [5, 8, 8], token: 8, isKnown: true },
    { tokens: [5, 5, 8], token: 5, isKnown: true },
    { tokens: [5, 6, 7, 8, 9], token: 7, isKnown: true },
    { tokens: [5, 6, 7, undefined, undefined], token: 7, isKnown: false },
  ])('of $tokens is $token, and known to a majority: $isKnown', ({ tokens, token, isKnown }) => {
    const won = ballotOf(tokens.map((one) => (one === undefined ? undefined : granted(one)))).grant(NOW)
    expect([won?.grant.fencingToken, won?.isKnown]).toEqual([token, isKnown])
  })

  test('is known when a renewal has told it', () => {
    const ballot = ballotOf([granted(5), granted(8), undefined])
    ballot.renew(0, 8, 700)
    expect(ballot.grant(NOW)).toMatchObject({ grant: { fencingToken: 8 }, isKnown: true })
  })

  test.each([
    { tokens: [5, 5, 8], token: 5 },
    { tokens: [8, 8, 5], token: 8 },
    { tokens: [5, 8, undefined], token: undefined },
    { tokens: [5, 8, 9], token: undefined },
    { tokens: [5, 6, 6, 6, 7], token: 6 },
  ])('of a reader who was given $tokens is $token: another may have the larger one', ({ tokens, token }) => {
    const ballot = ballotOf(
      tokens.map((one) => (one === undefined ? undefined : granted(one))),
      { mode: 'counted' },
    )
    const won = ballot.grant(NOW)
    expect(won?.isKnown ? won.grant.fencingToken : undefined).toBe(token)
    // Not handed out in any other way.
    if (token === undefined) expect(ballot.summary(NOW)).toMatchObject({ status: 'waiting' })
  })

  test('of each majority is larger than those of the majorities before, whichever servers they are', () => {
    const last = [0, 0, 0, 0, 0]
    let before = 0
    for (let round = 1; round < 2_000; round++) {
      // Three of five grant, each beyond its own last token and near a clock that goes its own way.
      const some = [0, 1, 2, 3, 4].sort((a, b) => ((a * 31 + round * 17) % 7) - ((b * 31 + round * 17) % 7) || a - b).slice(0, 3)
      const ballot = new Ballot(REQUEST, 7, 5)
      for (const i of some) {
        last[i] = Math.max((last[i] as number) + 16, (round * 37) % 1_000)
        ballot.push(i, { fencingToken: last[i] as number, validUntilMs: 500 })
      }
      const token = ballot.grant(NOW)?.grant.fencingToken as number
      expect(token).toBeGreaterThan(before + SPARE_TOKENS)
      before = token
      // It is used when a majority knows it.
      for (const i of some) last[i] = Math.max(last[i] as number, token)
    }
  })
})

describe('answers and messages', () => {
  test('a grant that was pushed while an answer was under way is later than the word to wait', () => {
    const ballot = ballotOf([undefined, undefined, undefined])
    const before = ballot.pushesSoFar(0)
    ballot.push(0, { fencingToken: 9, validUntilMs: 500 })
    ballot.answer(0, waiting(300), before)
    expect(ballot.isGrantedBy(0)).toBe(true)
    ballot.answer(0, waiting(300), ballot.pushesSoFar(0))
    expect(ballot.isGrantedBy(0)).toBe(false)
  })

  test('news of a grant that was given back are old', () => {
    const ballot = ballotOf([granted(9), undefined, undefined])
    ballot.yield(0)
    expect(ballot.push(0, { fencingToken: 9, validUntilMs: 500 })).toBe(false)
    expect(ballot.isGrantedBy(0)).toBe(false)
    expect(ballot.push(0, { fencingToken: 25, validUntilMs: 500 })).toBe(true)
  })

  test('no answer shortens a lease', () => {
    const ballot = ballotOf([granted(9, 800), granted(9, 800)])
    for (const i of [0, 1]) ballot.answer(i, granted(9, 300), 0)
    expect(ballot.grant(NOW)?.grant.validUntilMs).toBe(800)
  })
})

describe('what is not granted', () => {
  test('is nothing until a majority has answered', () => {
    expect(ballotOf([waiting(300), undefined, undefined]).summary(NOW)).toBeUndefined()
  })

  test('waits for as many leases as a majority needs, at the place that was proposed', () => {
    const summary = ballotOf([waiting(900, 2), waiting(300, 3), waiting(600)]).summary(NOW)
    expect(summary).toEqual({ status: 'waiting', ticket: 7, nextEndMs: 600, waiters: 3 })
    // One server has granted it already: one more is enough.
    expect(ballotOf([granted(9), waiting(300), waiting(600)]).summary(NOW)).toMatchObject({ nextEndMs: 300 })
  })

  test('is busy, where it does not wait', () => {
    expect(ballotOf([{ status: 'busy' }, granted(9), { status: 'busy' }], { queue: false }).summary(NOW)).toEqual({ status: 'busy' })
  })

  test('a conflict or a withdrawal on one server is one', () => {
    expect(ballotOf([waiting(300), { status: 'conflict', limit: 1 }]).summary(NOW)).toEqual({ status: 'conflict', limit: 1 })
    expect(ballotOf([{ status: 'conflict', limit: 1 }, { status: 'withdrawn' }]).summary(NOW)).toEqual({ status: 'withdrawn' })
  })

  test('is told as granted where it was, and too late', () => {
    expect(ballotOf([granted(9, 50), granted(9, 60), waiting(300)]).summary(NOW)).toMatchObject({ status: 'granted', validUntilMs: 50 })
  })
})
