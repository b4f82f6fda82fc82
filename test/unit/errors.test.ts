import { inspect } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import * as errors from '../../src/errors.js'
import {
  ERROR_CODES,
  isLockError,
  LockClosedError,
  LockConflictError,
  LockError,
  LockLostError,
  LockOptionError,
  LockTimeoutError,
  LockUnavailableError,
} from '../../src/errors.js'

const CLASSES = { LockTimeoutError, LockUnavailableError, LockLostError, LockConflictError, LockClosedError }
const CODES: Record<string, string> = {
  LockTimeoutError: 'LOCK_TIMEOUT',
  LockUnavailableError: 'LOCK_UNAVAILABLE',
  LockLostError: 'LOCK_LOST',
  LockConflictError: 'LOCK_CONFLICT',
  LockClosedError: 'LOCK_CLOSED',
  LockOptionError: 'LOCK_OPTION',
}

describe.each(Object.entries(CLASSES))('%s', (name, Class) => {
  const cause = new Error('the cause')
  const error = new Class('what happened', { key: 'orders', cause })

  test('has its code, name, key and cause', () => {
    expect(error).toMatchObject({ code: CODES[name], name, key: 'orders', cause, message: 'what happened' })
  })

  test('is an Error and a LockError', () => {
    expect(error).toBeInstanceOf(Error)
    expect(error).toBeInstanceOf(LockError)
    expect(isLockError(error)).toBe(true)
    expect(isLockError(error, error.code)).toBe(true)
    expect(isLockError(error, error.code === 'LOCK_LOST' ? 'LOCK_TIMEOUT' : 'LOCK_LOST')).toBe(false)
  })

  test('has no cause and no key unless they are given', () => {
    const plain = new Class('x')
    expect('cause' in plain).toBe(false)
    expect(plain.key).toBeUndefined()
  })

  test('reads well', () => {
    expect(String(error)).toBe(`${name}: what happened`)
    expect(inspect(error)).toContain('the cause')
  })
})

describe('LockOptionError', () => {
  test('names the option, the reason and the value', () => {
    const error = new LockOptionError('ttlMs', -5, 'must be larger')
    expect(error).toMatchObject({ code: 'LOCK_OPTION', name: 'LockOptionError', option: 'ttlMs', message: 'ttlMs must be larger; got -5' })
    expect(isLockError(error, 'LOCK_OPTION')).toBe(true)
  })

  test.each([
    ['text', '"text"'],
    ['', '""'],
    ['a\n\0', '"a\\n\\u0000"'],
    ['x'.repeat(100), `"${'x'.repeat(80)}…"`],
    [undefined, 'undefined'],
    [null, 'null'],
    [Number.NaN, 'NaN'],
    [10n, '10n'],
    [Symbol('s'), 'Symbol(s)'],
    [() => 5, 'a function'],
    [[1, 2], 'an array of 2'],
    [{ password: 'secret' }, 'an object'],
    [Object.create(null), 'an object'],
    [new Date(0), 'an object'],
  ])('shows %s in a way that is short and unambiguous', (value, shown) => {
    expect(new LockOptionError('x', value, 'is wrong').message).toBe(`x is wrong; got ${shown}`)
  })

  test('never calls the code of the caller', () => {
    const call = vi.fn(() => 'x')
    const value = { toString: call, toJSON: call, [Symbol.toPrimitive]: call, [inspect.custom]: call }
    new LockOptionError('x', value, 'is wrong')
    new LockOptionError('x', [value], 'is wrong')
    expect(call).not.toHaveBeenCalled()
  })
})

describe('the catalogue', () => {
  test('has a class for every code, and a code for every class', () => {
    const classes = Object.keys(errors).filter((name) => /^Lock\w+Error$/.test(name))
    expect(classes.map((name) => CODES[name]).sort()).toEqual([...ERROR_CODES].sort())
  })
})

describe('isLockError', () => {
  test.each([undefined, null, 5, 'LOCK_LOST', {}, new Error('LOCK_LOST'), Object.assign(new Error('x'), { code: 'LOCK_LOST' }), () => 5])(
    'is false of %s',
    (value) => {
      expect(isLockError(value)).toBe(false)
    },
  )

  test('knows the errors of another copy of this library, which instanceof does not', async () => {
    vi.resetModules()
    const copy = (await import('../../src/errors.js')) as typeof errors
    const foreign = new copy.LockTimeoutError('x', { key: 'k' })
    expect(copy.LockTimeoutError).not.toBe(LockTimeoutError)
    expect(foreign).not.toBeInstanceOf(LockError)
    expect(isLockError(foreign)).toBe(true)
    expect(isLockError(foreign, 'LOCK_TIMEOUT')).toBe(true)
    expect(isLockError(foreign, 'LOCK_LOST')).toBe(false)
    expect(copy.isLockError(new LockLostError('x'), 'LOCK_LOST')).toBe(true)
  })
})
