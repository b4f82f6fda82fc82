import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeName, Keyspace } from '../../src/store/redis/keys.js'

const keys = new Keyspace('p:')

/** What a Cluster hashes of a key: between the first `{` and the next `}`, unless that is empty. */
function hashTag(key: string): string {
  const open = key.indexOf('{')
  const close = key.indexOf('}', open + 1)
  return open === -1 || close === -1 || close === open + 1 ? key : key.slice(open + 1, close)
}

const AWKWARD = [
  ...['', '%', '%%', '{', '}', '{}', '}{', 'a}', 'a{', 'a%7D', 'a%7B', 'a%', 'a%25', 'a%257D', '%7D%25', '{a}:queue', 'a}:queue'],
  ...[
    ' ',
    'a b',
    'a\nb',
    'a\0b',
    '\u{1F512}',
    'ä',
    '__proto__',
    'constructor',
    ':queue',
    'inbox:x',
    '*',
    '?',
    '[a]',
    '\\',
    'a'.repeat(512),
  ],
]

const anyName = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('%', '{', '}', '2', '5', '7', 'B', 'D', 'a') }))

describe('names of keys', () => {
  test('a plain name stands in them as it is', () => {
    expect(keys.stateKey('orders/42')).toBe('p:{orders/42}')
    expect(keys.inbox('abc')).toBe('p:inbox:abc')
  })

  test.each([
    ['', '%'],
    ['{}', '%7B%7D'],
    ['100%', '100%25'],
  ])('the name %j is written %j', (name, tag) => {
    expect(encodeName(name)).toBe(tag)
  })

  test('no two awkward names share a key', () => {
    expect(new Set(AWKWARD.map((name) => keys.stateKey(name))).size).toBe(AWKWARD.length)
  })

  test.each(AWKWARD)('%j is in one slot with its queue and waiters, and is found again', (name) => {
    const key = keys.stateKey(name)
    expect(hashTag(key)).toBe(encodeName(name))
    expect(hashTag(`${key}:queue`)).toBe(hashTag(key))
    expect(hashTag(`${key}:waiters`)).toBe(hashTag(key))
    expect(keys.nameOf(key)).toBe(name)
  })

  test('the same for any name', () => {
    fc.assert(
      fc.property(anyName, anyName, (a, b) => {
        expect(keys.nameOf(keys.stateKey(a))).toBe(a)
        expect(hashTag(keys.stateKey(a))).toBe(encodeName(a))
        expect(keys.stateKey(a) === keys.stateKey(b)).toBe(a === b)
      }),
    )
  })

  test('every key and channel begins with the prefix', () => {
    for (const name of AWKWARD) expect(keys.stateKey(name).startsWith('p:')).toBe(true)
    expect(keys.inboxPrefix.startsWith('p:')).toBe(true)
  })

  test.each(['p:{a}:queue', 'p:{a}:waiters', 'p:inbox:x', 'p:a', 'q:{a}', '{a}', ''])('%j is no state key', (key) => {
    expect(keys.nameOf(key)).toBeUndefined()
  })
})

/** Redis' own rules for the patterns of SCAN, as far as they matter here: `*` is anything, a backslash takes the next character as it is. */
function matches(pattern: string, key: string): boolean {
  const source = [...pattern.matchAll(/\\(.)|(\*)|(.)/gsu)].map(([, escaped, star, plain]) =>
    star ? '.*' : (escaped ?? plain ?? '').replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'),
  )
  return new RegExp(`^${source.join('')}$`, 'su').test(key)
}

describe('the pattern for SCAN', () => {
  test('escapes what the server would read as a wildcard', () => {
    expect(new Keyspace('a*[b]?\\:').pattern('x*')).toBe('a\\*\\[b\\]\\?\\\\:{x\\**}')
  })

  test('of the empty prefix finds every name', () => {
    for (const name of AWKWARD) expect(matches(keys.pattern(''), keys.stateKey(name))).toBe(true)
  })

  test('finds every name that begins with the prefix', () => {
    fc.assert(
      fc.property(anyName, anyName, (start, rest) => {
        expect(matches(keys.pattern(start), keys.stateKey(start + rest))).toBe(true)
      }),
    )
  })
})
