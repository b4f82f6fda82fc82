import { describe, expect, test } from 'vitest'
import {
  type Answer,
  claimReply,
  count,
  failureIn,
  inspection,
  integer,
  releaseReply,
  renewReply,
  serverFailure,
} from '../../src/store/redis/replies.js'
import { StoreFailure } from '../../src/store/store.js'

const answer = (...fields: unknown[]): Answer => ({ fields, sentAtMs: 1_000, receivedAtMs: 1_040, serverNowMs: 50_000 })

function failure(call: () => unknown): StoreFailure {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(StoreFailure)
    return error as StoreFailure
  }
  throw new Error('nothing was thrown')
}

describe('a whole number', () => {
  test.each([
    [5, 5],
    [0, 0],
    [-1, -1],
    ['5', 5],
    ['-1', -1],
    ['1700000000000000', 1_700_000_000_000_000],
    [Buffer.from('7'), 7],
    [8n, 8],
  ])('from %s', (value, number) => {
    expect(integer(value)).toBe(number)
  })

  test.each([null, undefined, '', ' ', 'x', '1.5', 1.5, Number.NaN, '0x10', '1e3', 2 ** 53, '9007199254740993', [[]], {}, true])(
    'not from %j',
    (value) => {
      expect(failure(() => integer(value)).kind).toBe('refused')
    },
  )
})

describe('the reply to a claim', () => {
  test('granted: the lease counts from before the request was sent', () => {
    expect(claimReply(answer('1', '1700000000000000', '5000', '1'))).toEqual({
      status: 'granted',
      fencingToken: 1_700_000_000_000_000,
      validUntilMs: 5_999,
      othersWait: true,
      // The server's clock stands far behind this token.
      canHandOn: false,
    })
    expect(claimReply(answer('1', '7', '5000', '1'))).toMatchObject({ fencingToken: 7, othersWait: true, canHandOn: true })
  })

  test("waiting: the next lease's end counts from the receipt", () => {
    expect(claimReply(answer('0', '77', '500', '3'))).toEqual({ status: 'waiting', ticket: 77, nextEndMs: 1_540, waiters: 3 })
  })

  test.each([
    [[2], { status: 'busy' }],
    [[3, 5], { status: 'conflict', limit: 5 }],
    [['3', '0'], { status: 'conflict', limit: 0 }],
    [[4], { status: 'withdrawn' }],
  ])('%j', (fields, reply) => {
    expect(claimReply(answer(...fields))).toEqual(reply)
  })

  test.each([
    [
      [5, 'p:a'],
      "p:a holds a string, as the version of 2013 writes for a lock: one of its processes holds it, or died with it. protocol: 'setnx'",
    ],
    [['5', 'p:a', 'text'], 'p:a holds a string that is no lock of the version of 2013'],
    [['5', 'p:a', 'type'], 'p:a holds data of another type'],
  ])('%j is a conflict', (fields, text) => {
    expect(() => claimReply(answer(...fields))).toThrow(
      expect.objectContaining({ kind: 'conflict', message: expect.stringContaining(text) }),
    )
  })

  test.each([[[]], [[6]], [[1]], [[1, 'x', 5, 0]], [[1, 7, 5]], [[0, 1]], [[0, 1, 5]], [[null]], [['granted']]])(
    '%j is none of ours',
    (fields) => {
      expect(failure(() => claimReply(answer(...fields)))).toMatchObject({ kind: 'refused' })
    },
  )
})

test('the reply to a renewal', () => {
  expect(renewReply(answer(1), 300)).toEqual({ status: 'held', validUntilMs: 1_299 })
  expect(renewReply(answer('0'), 300)).toEqual({ status: 'lost' })
  expect(renewReply(answer(2), 300)).toEqual({ status: 'held', validUntilMs: 1_299, tokenRefused: true })
  expect(failure(() => renewReply(answer(3), 300)).kind).toBe('refused')
  expect(failure(() => renewReply(answer(), 300)).kind).toBe('refused')
})

test('the reply to a release', () => {
  expect(releaseReply(answer(1))).toEqual({ status: 'released' })
  expect(releaseReply(answer(0))).toEqual({ status: 'absent' })
  expect(failure(() => releaseReply(answer(7))).kind).toBe('refused')
})

test('the reply to a forced release', () => {
  expect(count(answer('3'))).toBe(3)
})

describe('a failure', () => {
  test.each(['LOADING', 'BUSY', 'MASTERDOWN', 'READONLY', 'NOREPLICAS', 'CLUSTERDOWN', 'TRYAGAIN', 'MOVED', 'ASK', 'MISCONF'])(
    '%s may be gone when asked again',
    (code) => {
      expect(serverFailure(code, `${code} wait`)).toMatchObject({ kind: 'unreachable', message: `${code} wait` })
    },
  )

  test.each(['NOPERM', 'NOAUTH', 'WRONGPASS', 'OOM', 'ERR', 'NOSCRIPT', 'UNKILLABLE'])('%s stays', (code) => {
    expect(serverFailure(code, `${code} no`)).toMatchObject({ kind: 'refused', message: `${code} no` })
  })

  test('WRONGTYPE is a conflict and names the key', () => {
    const { kind, message } = serverFailure('WRONGTYPE', 'WRONGTYPE Operation against a key', 'p:{a}')
    expect(kind).toBe('conflict')
    expect(message).toContain('p:{a}')
    expect(message).toContain('another type')
  })

  test('of a server that takes no more connections may be gone when asked again', () => {
    expect(serverFailure('ERR', 'ERR max number of clients reached').kind).toBe('unreachable')
  })

  test('for want of a right names the right', () => {
    expect(serverFailure('NOPERM', 'NOPERM No permissions to access a key', 'p:{a}').message).toContain('grant the user ~p:*')
    expect(serverFailure('NOPERM', 'NOPERM No permissions to access a key').message).toBe('NOPERM No permissions to access a key')
    const { message } = serverFailure('ERR', "ERR The user executing the script can't run this command or subcommand", 'p:{a}')
    expect(message).toMatch(/; grant the user .*\+hset.*\+zadd/)
    expect(serverFailure('ERR', 'ERR something else', 'p:{a}').message).toBe('ERR something else')
  })

  test('of one operation in a batch is told by its first word', () => {
    expect(failureIn([1, 2], 'k')).toBeUndefined()
    expect(failureIn([-1, 'WRONGTYPE Operation'], 'k')?.kind).toBe('conflict')
    expect(failureIn(['-1', 'OOM command not allowed'], 'k')?.kind).toBe('refused')
    expect(failureIn([-1, '-BUSY a script runs'], 'k')?.kind).toBe('unreachable')
    expect(failureIn([-1, "user_script:5: attempt to index 'x'"], 'k')?.kind).toBe('refused')
    expect(failureIn([-1], 'k')?.kind).toBe('refused')
  })

  test('is never a line', () => {
    expect(failureIn('-1 OOM', 'k')).toBeUndefined()
  })

  test.each([null, undefined, 5, {}])('an answer that is neither a line nor a list is none of ours: %j', (fields) => {
    expect(failureIn(fields as never, 'k')?.kind).toBe('refused')
  })
})

describe('an inspection', () => {
  /** The summary of an exclusive holder whose lease of a second ends in 700 ms, and of what was last granted. */
  const SUMMARY = ['token', '49700000', 'mode', 'x', 'used', '1', 'ends', '50700', 'span', '1000']
  const COUNTED = 'c2 50700 1000 49700000 ["h",1]'
  const WAITER = 'c 2 5 30000 -3 1700000000000001 49000 48000 p ["h",2]'
  const inspect = (state: unknown[], queue: unknown[] = [], waiters: unknown[] = []) =>
    inspection('a', answer(0, state.length, ...state, queue.length, ...queue, ...waiters))

  test('tells who holds and who waits', () => {
    expect(inspect([...SUMMARY, 's1.1', 'x["h",1]'], ['1700000000000001 s2.1'], ['s2.1', WAITER])).toEqual({
      held: [
        {
          name: 'a',
          id: 's1.1',
          mode: 'exclusive',
          permits: 1,
          limit: 1,
          info: '["h",1]',
          ageMs: 300,
          fencingToken: 49_700_000,
          expiresInMs: 700,
        },
      ],
      pending: [{ name: 'a', id: 's2.1', mode: 'counted', permits: 2, limit: 5, info: '["h",2]', ageMs: 2_000, priority: -3, position: 1 }],
    })
  })

  test('tells of each of several holders', () => {
    const other = COUNTED.replace('c2 50700', 'c1 50900').replace('49700000', '49900000')
    const { held } = inspect(['token', '49900000', 'mode', 'c', 'used', '3', 'limit', '5', 's1.1', COUNTED, 's1.2', other])
    expect(held).toMatchObject([
      { mode: 'counted', permits: 2, limit: 5, fencingToken: 49_700_000, ageMs: 300, expiresInMs: 700 },
      { mode: 'counted', permits: 1, limit: 5, fencingToken: 49_900_000, ageMs: 100, expiresInMs: 900 },
    ])
  })

  test('leaves out whoever is over, withdrawn or not ours', () => {
    const state = ['s1.1', COUNTED.replace('50700', '50000'), 's1.2', 'w60000', 'their.field', 'their value', 'token', '5']
    const { held, pending } = inspect(state, ['1700000000000001 s2.1', '1700000000000002 s2.2'], ['s2.2', WAITER])
    expect(held).toEqual([])
    expect(pending.map(({ id, position }) => [id, position])).toEqual([['s2.2', 1]])
  })

  test('leaves out an exclusive holder that is over', () => {
    expect(inspect([...SUMMARY.with(7, '50000'), 's1.1', 'x'])).toEqual({ held: [], pending: [] })
  })

  test('a lease never lasts longer than its length, whatever the clock of the server did', () => {
    expect(inspect([...SUMMARY.with(7, '9999999'), 's1.1', 'x']).held[0]?.expiresInMs).toBe(1_000)
    expect(inspect(['s1.1', COUNTED.replace('50700', '9999999')]).held[0]?.expiresInMs).toBe(1_000)
    expect(inspect(['s1.1', COUNTED.replace('49700000', '60000000')]).held[0]?.ageMs).toBe(0)
  })

  test('takes info with line breaks, and none', () => {
    const found = inspect(['s1.1', COUNTED.replace('["h",1]', 'a\nb c'), 's1.2', COUNTED.replace('["h",1]', '')])
    expect(found.held.map(({ info }) => info)).toEqual(['a\nb c', ''])
  })

  test('of nothing is nothing', () => {
    expect(inspect([])).toEqual({ held: [], pending: [] })
    expect(inspect(['odd'])).toEqual({ held: [], pending: [] })
  })

  test.each([[[0]], [[0, null]], [[0, 5, 'x']], [[0, 0, 'x']]])('that is cut or malformed is none of ours: %j', (fields) => {
    expect(failure(() => inspection('a', answer(...fields))).kind).toBe('refused')
  })
})
