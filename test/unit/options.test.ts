import { describe, expect, test } from 'vitest'
import { LockOptionError } from '../../src/errors.js'
import {
  ACQUIRE_DEFAULTS,
  checkLimit,
  checkName,
  checkNames,
  checkPermits,
  checkPrefix,
  LONGEST_MS,
  resolveAcquireOptions,
} from '../../src/options.js'
import { resolveLocksmithOptions } from '../../src/setup.js'
import { FakeStore } from '../support/fake-store.js'

/** What the call throws, which must be a LockOptionError. */
function refusal(call: () => unknown): LockOptionError {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(LockOptionError)
    return error as LockOptionError
  }
  throw new Error('nothing was thrown')
}

const resolve = (options: object) => resolveAcquireOptions(options, ACQUIRE_DEFAULTS)
const YEAR = String(LONGEST_MS)
const WRONG_NUMBERS = [-1, Number.NaN, 1.5, '100', 2 ** 53, Number.NEGATIVE_INFINITY, null, true, [], 10n, Symbol('s')]

describe('numbers of an acquire', () => {
  test.each(['ttlMs', 'waitMs', 'maxHoldMs', 'minHoldMs'].flatMap((option) => WRONG_NUMBERS.map((value) => [option, value] as const)))(
    '%s: %s is refused with its name, its value and the bounds',
    (option, value) => {
      const error = refusal(() => resolve({ [option]: value }))
      expect(error.option).toBe(option)
      expect(error.message.startsWith(`${option} must be a whole number from `)).toBe(true)
      expect(error.message).toContain(` to ${YEAR}`)
      const shown = typeof value === 'string' ? JSON.stringify(value) : Array.isArray(value) ? 'an array of 0' : String(value)
      expect(error.message).toContain(`got ${shown}`)
    },
  )

  test.each([-1_000_001, 1_000_001, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1', null])('priority: %j is refused', (priority) => {
    const error = refusal(() => resolve({ priority }))
    expect(error.message).toContain('priority must be a whole number from -1000000 to 1000000')
  })

  test.each([
    ['ttlMs', Number.POSITIVE_INFINITY],
    ['minHoldMs', Number.POSITIVE_INFINITY],
    ['ttlMs', LONGEST_MS + 1],
    ['waitMs', LONGEST_MS + 1],
    ['maxHoldMs', LONGEST_MS + 1],
    ['minHoldMs', LONGEST_MS + 1],
    ['maxHoldMs', 19],
    ['ttlMs', 0],
  ])('%s: %d is out of bounds', (option, value) => {
    expect(refusal(() => resolve({ [option]: value })).message).toContain(`got ${value}`)
  })

  test('a lease that is shorter than its safety margin allows says so, with both', () => {
    const { message } = refusal(() => resolve({ ttlMs: 19 }))
    expect(message).toContain('at least 20 ms')
    expect(message).toContain('10.2 ms of it are kept back as safety margin')
    expect(message).toContain('got 19')
  })

  test.each([
    { ttlMs: 20 },
    { ttlMs: LONGEST_MS },
    { ttlMs: 2 ** 31 },
    { waitMs: 0 },
    { waitMs: Number.POSITIVE_INFINITY },
    { waitMs: LONGEST_MS },
    { priority: -1_000_000 },
    { priority: 1_000_000 },
    { maxHoldMs: 20 },
    { maxHoldMs: Number.POSITIVE_INFINITY },
    { minHoldMs: 0 },
    { minHoldMs: LONGEST_MS },
  ])('%j is within the bounds', (options) => {
    expect(resolve(options)).toMatchObject(options)
  })

  test('minHoldMs over maxHoldMs names both', () => {
    const { message } = refusal(() => resolve({ minHoldMs: 501, maxHoldMs: 500 }))
    expect(message).toContain('minHoldMs must not be larger than maxHoldMs, which is 500')
    expect(message).toContain('got 501')
    expect(resolve({ minHoldMs: 500, maxHoldMs: 500 })).toMatchObject({ minHoldMs: 500 })
  })

  test('the relation holds between a call and its defaults too', () => {
    const base = resolve({ maxHoldMs: 500 })
    expect(() => resolveAcquireOptions({ minHoldMs: 501 }, base)).toThrow('maxHoldMs, which is 500')
  })
})

describe('other options of an acquire', () => {
  test.each([
    ['autoExtend', 1, 'must be true or false'],
    ['autoExtend', null, 'must be true or false'],
    ['signal', {}, 'must be an AbortSignal'],
    ['signal', null, 'must be an AbortSignal'],
    ['signal', new AbortController(), 'must be an AbortSignal'],
    ['minReplicas', 101, 'must be a whole number from 0 to 100'],
    ['minReplicas', -1, 'must be a whole number'],
    ['minReplicas', null, 'must be a whole number'],
    ['metadata', 'x', 'must be an object'],
    ['metadata', ['x'], 'must be an object'],
    ['metadata', null, 'must be an object'],
    ['metadata', { a: 1 }, 'metadata.a must be a string'],
  ])('%s: %j is refused', (option, value, reason) => {
    expect(refusal(() => resolve({ [option]: value })).message).toContain(reason)
  })

  test('an unknown one is named, with those that are known', () => {
    const error = refusal(() => resolve({ tllMs: 5 }))
    expect(error.option).toBe('tllMs')
    expect(error.message).toContain('tllMs is not an option of an acquire; known are autoExtend, maxHoldMs, metadata')
    expect(error.message).toContain('got 5')
  })

  test('permits belong to a semaphore: elsewhere they would be ignored without a word', () => {
    expect(refusal(() => resolve({ permits: 2 })).option).toBe('permits')
  })

  test.each([null, 5, 'x', [], true])('%j is no object of options', (options) => {
    expect(refusal(() => resolveAcquireOptions(options as never, ACQUIRE_DEFAULTS)).option).toBe('options')
  })

  test('metadata may have 4,096 bytes as JSON, and no more', () => {
    const empty = Buffer.byteLength(JSON.stringify({ a: '' }))
    expect(resolve({ metadata: { a: 'x'.repeat(4_096 - empty) } }).metadata?.a).toHaveLength(4_096 - empty)
    expect(refusal(() => resolve({ metadata: { a: 'x'.repeat(4_097 - empty) } })).message).toContain(
      'at most 4096 bytes as JSON, this has 4097',
    )
    expect(refusal(() => resolve({ metadata: { a: '\u{1F512}'.repeat(1_030) } })).message).toContain('at most 4096 bytes')
  })

  test('metadata keeps every key, even __proto__', () => {
    const given = JSON.parse('{"__proto__":"p","constructor":"c","":"e"}')
    const { metadata } = resolve({ metadata: given })
    expect(JSON.stringify(metadata)).toBe('{"__proto__":"p","constructor":"c","":"e"}')
  })

  test('metadata is a copy', () => {
    const metadata = { who: 'me' }
    const resolved = resolve({ metadata })
    metadata.who = 'you'
    expect(resolved.metadata).toEqual({ who: 'me' })
    expect(Object.isFrozen(resolved.metadata)).toBe(true)
  })
})

describe('resolving', () => {
  test('no options are the defaults themselves', () => {
    expect(resolveAcquireOptions(undefined, ACQUIRE_DEFAULTS)).toBe(ACQUIRE_DEFAULTS)
    expect(ACQUIRE_DEFAULTS).toEqual({
      ttlMs: 30_000,
      waitMs: Number.POSITIVE_INFINITY,
      signal: undefined,
      priority: 0,
      autoExtend: true,
      maxHoldMs: Number.POSITIVE_INFINITY,
      minHoldMs: 0,
      minReplicas: 0,
      metadata: undefined,
    })
  })

  test('what is undefined is as if it were not given', () => {
    const options = Object.fromEntries(Object.keys(ACQUIRE_DEFAULTS).map((key) => [key, undefined]))
    expect(resolve(options)).toEqual(ACQUIRE_DEFAULTS)
  })

  test('frozen options work, are not changed, and can be used again', () => {
    const options = Object.freeze({ ttlMs: 5_000, metadata: Object.freeze({ a: 'b' }) })
    expect(resolve(options)).toEqual(resolve(options))
    expect(options).toEqual({ ttlMs: 5_000, metadata: { a: 'b' } })
  })

  test('the result is frozen', () => {
    expect(Object.isFrozen(resolve({}))).toBe(true)
    expect(Object.isFrozen(ACQUIRE_DEFAULTS)).toBe(true)
  })
})

describe('names', () => {
  test.each(['', ' ', '{}', 'a\nb', 'a\0b', '\u{1F512}', '__proto__', 'x'.repeat(512), 'ä'.repeat(256), '\u{1F512}'.repeat(128)])(
    '%j is a name',
    (name) => {
      expect(checkName(name)).toBe(name)
    },
  )

  test.each([undefined, null, 5, Symbol('s'), {}, ['a'], () => 'a', 10n])('%s is none', (name) => {
    const error = refusal(() => checkName(name))
    expect(error.option).toBe('name')
    expect(error.message).toContain('must be a string')
  })

  test.each([['x'.repeat(513)], ['ä'.repeat(257)], ['\u{1F512}'.repeat(129)]])('too long: %s', (name) => {
    const { message } = refusal(() => checkName(name))
    expect(message).toContain(`at most 512 bytes in UTF-8, this one has ${Buffer.byteLength(name)}`)
    expect(message.length).toBeLessThan(250)
  })

  test.each(['\ud800', 'a\udc00b', '\udc00\ud800'])('half of a surrogate pair: %j', (name) => {
    expect(refusal(() => checkName(name)).message).toContain('half of a surrogate pair')
  })

  test('one name or a list of them', () => {
    expect(checkNames('a')).toEqual(['a'])
    expect(checkNames(['b', 'a'])).toEqual(['b', 'a'])
    expect(refusal(() => checkNames([])).message).toContain('must name at least one lock')
    expect(refusal(() => checkNames(['a', 1])).option).toBe('name')
    expect(refusal(() => checkNames({ 0: 'a' })).option).toBe('name')
  })
})

describe('a semaphore', () => {
  test.each([0, -1, 1.5, '2', Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, undefined])('limit: %j is refused', (limit) => {
    expect(refusal(() => checkLimit(limit)).message).toContain('limit must be a whole number from 1 to 2147483647')
  })

  test.each([0, -1, 1.5, '2', Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])('permits: %j is refused', (permits) => {
    expect(refusal(() => checkPermits(permits, 5)).message).toContain('permits must be a whole number from 1 to 2147483647')
  })

  test('permits over the limit name both', () => {
    expect(checkPermits(5, 5)).toBe(5)
    const { message } = refusal(() => checkPermits(6, 5))
    expect(message).toContain('the limit of the semaphore, which is 5')
    expect(message).toContain('got 6')
  })
})

describe('a prefix', () => {
  test.each(['', 'p:', 'a b', '{tag}:', 'x{', '}{', '{a}{}', 'x'.repeat(512)])('%j works', (prefix) => {
    expect(checkPrefix(prefix)).toBe(prefix)
  })

  test.each([5, null, '{}', 'a{}b', 'x'.repeat(513)])('%j is refused', (prefix) => {
    expect(refusal(() => checkPrefix(prefix)).option).toBe('prefix')
  })
})

describe('a locksmith', () => {
  const store = new FakeStore()

  test('has the documented defaults', () => {
    const setup = resolveLocksmithOptions({ store })
    expect(setup).toEqual({ store, ownsStore: false, defaults: ACQUIRE_DEFAULTS, label: undefined, handOver: { most: 16, forMs: 50 } })
    expect(Object.isFrozen(setup.defaults)).toBe(true)
  })

  test('passes its own defaults on to every acquire', () => {
    expect(resolveLocksmithOptions({ store, ttlMs: 500, waitMs: 0, name: 'me' })).toMatchObject({
      defaults: { ttlMs: 500, waitMs: 0 },
      label: 'me',
    })
  })

  test('says how often and how long claims of a process may pass a lock on', () => {
    expect(resolveLocksmithOptions({ store, handOverLimit: 0, handOverMs: 1 }).handOver).toEqual({ most: 0, forMs: 1 })
    expect(resolveLocksmithOptions({ store, handOverLimit: 1_000_000 }).handOver).toEqual({ most: 1_000_000, forMs: 50 })
  })

  test.each([
    [{ ttlMs: 19 }, 'ttlMs'],
    [{ handOverLimit: -1 }, 'handOverLimit'],
    [{ handOverLimit: 1.5 }, 'handOverLimit'],
    [{ handOverLimit: 1_000_001 }, 'handOverLimit'],
    [{ handOverMs: 0 }, 'handOverMs'],
    [{ handOverMs: '50' }, 'handOverMs'],
    [{ batchLimit: 0 }, 'batchLimit'],
    [{ batchLimit: 1_025 }, 'batchLimit'],
    [{ store, batchLimit: 5 }, 'batchLimit'],
    [{ protocol: 'redlock' }, 'protocol'],
    [{ store, protocol: 'setnx' }, 'protocol'],
    [{ store, pollMs: 100 }, 'pollMs'],
    [{ pollMs: 100 }, 'pollMs'],
    [{ protocol: 'queue', pollMs: 100 }, 'pollMs'],
    [{ protocol: 'setnx', pollMs: 9 }, 'pollMs'],
    [{ protocol: 'setnx', nodes: [1, 2] }, 'nodes'],
    [{ waitMs: -1 }, 'waitMs'],
    [{ name: 5 }, 'name'],
    [{ name: 'x'.repeat(257) }, 'name'],
    [{ minReplicas: 1.5 }, 'minReplicas'],
    [{ prefix: 5 }, 'prefix'],
    [{ hostname: 'x' }, 'hostname'],
    [{ retries: 3 }, 'retries'],
    [{ redis: 5 }, 'redis'],
    [{ nodes: 'x' }, 'nodes'],
    [{ nodes: [] }, 'nodes'],
    [{ nodes: ['127.0.0.1:1', 1] }, 'nodes'],
    [{ sentinels: [] }, 'sentinels'],
    [{ sentinels: [1, 1] }, 'sentinels'],
    [{ sentinels: [1], nodes: [2] }, 'sentinels'],
    [{ sentinels: [1], sentinelName: 5 }, 'sentinelName'],
    [{ sentinelName: 'mymaster' }, 'sentinelName'],
    [{ nodes: [1, 2, 3], failover: true }, 'failover'],
    [{ nodes: [1, 2], failover: 'promote' }, 'failover'],
    [{ sentinels: [1, 2, 3], failover: 'promote' }, 'failover'],
    [{ url: 'redis://x', failover: 'promote' }, 'failover'],
    [{ failover: 'promote' }, 'failover'],
    [{ nodes: [1, 2, { socket: { path: '/run/redis.sock' } }], failover: 'promote' }, 'failover'],
    [{ nodes: [1, 2, 3], failoverAfterMs: 5_000 }, 'failoverAfterMs'],
    [{ nodes: [1, 2, 3], failover: 'none', failoverAfterMs: 5_000 }, 'failoverAfterMs'],
    [{ nodes: [1, 2, 3], failover: 'promote', failoverAfterMs: 999 }, 'failoverAfterMs'],
    [{ url: 'redis://x', sentinelName: 'mymaster' }, 'sentinelName'],
    [{ url: 'http://x' }, 'url'],
    [{ client: {} }, 'client'],
    [{ client: {}, redis: {} }, 'redis'],
    [{ store: 5 }, 'store'],
    [{ store: {} }, 'store'],
    [{ store, prefix: 'p' }, 'prefix'],
    [{ store, redis: {} }, 'redis'],
    [{ url: 'redis://x', nodes: ['x'] }, 'nodes'],
    [{ client: {}, store }, 'store'],
    [{ url: 'redis://x', client: {} }, 'client'],
  ])('%j is refused because of %s', (options, option) => {
    expect(refusal(() => resolveLocksmithOptions(options as object)).option).toBe(option)
  })

  test.each([null, 5, 'redis://x', []])('%j is no object of options', (options) => {
    expect(refusal(() => resolveLocksmithOptions(options as never)).option).toBe('options')
  })

  test('takes frozen options, and one object for several', () => {
    const options = Object.freeze({ nodes: Object.freeze(['127.0.0.1:1']) as string[], redis: Object.freeze({ database: 2 }), ttlMs: 100 })
    expect(resolveLocksmithOptions(options).defaults).toEqual(resolveLocksmithOptions(options).defaults)
    expect(options).toEqual({ nodes: ['127.0.0.1:1'], redis: { database: 2 }, ttlMs: 100 })
  })

  test('a store with a method missing is told which', () => {
    const { message } = refusal(() => resolveLocksmithOptions({ store: { listen() {} } as never }))
    expect(message).toContain('it has no acquire()')
  })
})
