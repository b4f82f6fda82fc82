import { describe, expect, test } from 'vitest'
import { LockOptionError } from '../../src/errors.js'
import type { LeaseTerms } from '../../src/lease/lease.js'
import { joinSerialized, parseSerialized, serializeLock } from '../../src/primitives/serialized.js'

const ID = 'AAAAAAAAAAAAAAAAAAAA-_.1z'
const terms = (name: string): LeaseTerms => ({
  name,
  claimId: 'AAAAAAAAAAAAAAAAAAAA-_.2',
  info: '',
  ttlMs: 5_000,
  autoExtend: true,
  maxHoldMs: Number.POSITIVE_INFINITY,
  minHoldMs: 0,
})
const locks = (change: object) =>
  JSON.stringify({ version: 1, locks: [{ name: 'a', id: ID, ttlMs: 5_000, autoExtend: true, fencingToken: 7, ...change }] })

function refusal(text: unknown): LockOptionError {
  try {
    parseSerialized(text)
  } catch (error) {
    expect(error).toBeInstanceOf(LockOptionError)
    return error as LockOptionError
  }
  throw new Error('nothing was thrown')
}

test.each(['a', '', '{}', 'a\nb\0', '\u{1F512}', '__proto__', '"'])('a lock named %j comes back as it was', (name) => {
  expect(parseSerialized(serializeLock(terms(name), ID, 1_700_000_000_000_000))).toEqual([
    { name, id: ID, ttlMs: 5_000, autoExtend: true, fencingToken: 1_700_000_000_000_000 },
  ])
})

test('several come back in their order', () => {
  const text = joinSerialized([serializeLock(terms('b'), ID, 2), serializeLock(terms('a'), ID, 1)])
  expect(parseSerialized(text).map(({ name, fencingToken }) => [name, fencingToken])).toEqual([
    ['b', 2],
    ['a', 1],
  ])
  expect(parseSerialized(joinSerialized([text, serializeLock(terms('c'), ID, 3)]))).toHaveLength(3)
})

describe('what serialize() did not make is refused', () => {
  test.each([
    [undefined, 'must be the text'],
    [5, 'must be the text'],
    [{}, 'must be the text'],
    ['', 'it is no JSON'],
    ['x', 'it is no JSON'],
    ['null', 'must be of version 1'],
    ['5', 'must be of version 1'],
    ['[]', 'must be of version 1'],
    ['{}', 'must be of version 1'],
    ['{"version":2,"locks":[]}', 'must be of version 1'],
    ['{"version":1}', 'at least one lock'],
    ['{"version":1,"locks":[]}', 'at least one lock'],
    ['{"version":1,"locks":{"length":1}}', 'at least one lock'],
    ['{"version":1,"locks":[null]}', 'the id of each lock'],
    ['{"version":1,"locks":[5]}', 'the id of each lock'],
    [locks({ id: undefined }), 'the id of each lock'],
    [locks({ id: 5 }), 'the id of each lock'],
    [locks({ id: `${ID} x` }), 'the id of each lock'],
    [locks({ id: 'short.1' }), 'the id of each lock'],
    [locks({ id: ID.replace('.', '') }), 'the id of each lock'],
    [locks({ autoExtend: 1 }), 'must be complete'],
    [locks({ fencingToken: 'x' }), 'must be complete'],
    [locks({ fencingToken: 1.5 }), 'must be complete'],
    [locks({ fencingToken: 2 ** 53 }), 'must be complete'],
  ])('%j', (text, reason) => {
    const error = refusal(text)
    expect(error.option).toBe('serialized')
    expect(error.message).toContain(reason)
  })

  test.each([
    [{ name: 5 }, 'name'],
    [{ name: 'x'.repeat(513) }, 'name'],
    [{ ttlMs: 0 }, 'ttlMs'],
    [{ ttlMs: '5000' }, 'ttlMs'],
    [{ ttlMs: undefined }, 'ttlMs'],
  ])('%j', (change, option) => {
    expect(refusal(locks(change)).option).toBe(option)
  })

  test('and never shown: whoever knows it has the lock', () => {
    for (const text of [locks({ autoExtend: 1 }), `${locks({})}x`, locks({ ttlMs: 1 }), locks({ name: 5 })]) {
      expect(refusal(text).message).not.toContain('AAAAAAAA')
    }
  })
})
