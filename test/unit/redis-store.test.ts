import { beforeEach, describe, expect, test } from 'vitest'
import { replyError } from '../../src/clients/client.js'
import { RedisStore, type RedisStoreOptions } from '../../src/store/redis/redis-store.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeClient } from '../support/fake-client.js'
import { turn } from '../support/fake-store.js'
import { makeListener } from '../support/session-listener.js'

const SESSION = 'AAAAAAAAAAAAAAAAAAAAAA'
const CLAIM = {
  name: 'k',
  mode: 'counted',
  permits: 2,
  limit: 5,
  ttlMs: 1_000,
  priority: -3,
  ticket: 7,
  queue: true,
  info: '["h",1]',
} as const

/** The reply to an inspection: three lists, each with its length before it but the last. */
const NOBODY = [0, 0, 0]

let clock: FakeClock
let client: FakeClient
let store: RedisStore

function makeStore(options: Partial<RedisStoreOptions> = {}): RedisStore {
  store = new RedisStore({ client, prefix: 'p:', clock, ...options })
  return store
}

beforeEach(() => {
  clock = new FakeClock()
  client = new FakeClient()
  makeStore()
})

/** Listens, and answers the look at the server's memory. */
async function listen(memory: string | Error = 'maxmemory:0\r\nmaxmemory_policy:noeviction\r\n') {
  const listener = makeListener()
  const leave = await store.listen(SESSION, listener)
  await turn()
  const info = client.take('INFO')
  await (memory instanceof Error ? info.fail(memory) : info.reply(memory))
  return { listener, leave }
}

/** Answers the next call of the script with the reply to its one operation; what that was is returned. */
async function answer(reply: unknown): Promise<string[]> {
  await turn()
  const call = client.take('EVALSHA')
  await call.reply(typeof reply === 'string' ? `5000000\n${reply}` : ['5000000', reply])
  return [call.args[3] as string, call.args[4] as string]
}

describe('an operation', () => {
  test('acquire says all that is claimed, and how the session can be woken', async () => {
    void store.acquire({ ...CLAIM, id: `${SESSION}.1` })
    expect(await answer('1 7 1000 0')).toEqual(['p:{k}', `A ${SESSION}.1 c 2 5 1000 -3 7 1 - ["h",1]`])
    await listen()
    void store.acquire({ ...CLAIM, id: `${SESSION}.1`, mode: 'exclusive', permits: 1, limit: 0, queue: false, info: '' })
    expect(await answer('2')).toEqual(['p:{k}', `A ${SESSION}.1 x 1 0 1000 -3 7 0 p `])
  })

  test('renew, release, forceRelease', async () => {
    const renewed = store.renew('k', 's.1', 500)
    expect(await answer('1')).toEqual(['p:{k}', 'R s.1 500'])
    await expect(renewed).resolves.toEqual({ status: 'held', validUntilMs: clock.now() + 499 })
    const released = store.release('k', 's.1')
    expect(await answer('1')).toEqual(['p:{k}', 'L s.1 0 0 0'])
    await expect(released).resolves.toEqual({ status: 'released' })
    void store.release('k', 's.1', { keepMs: 30, withdraw: true })
    expect((await answer('0'))[1]).toBe('L s.1 30 1 0')
    void store.release('k', 's.1', { fencingToken: 1_700_000_000_000_000 })
    expect((await answer('1'))[1]).toBe('L s.1 0 0 1700000000000000')
    void store.renew('k', 's.1', 500, { fencingToken: 1_700_000_000_000_000, info: '["a b",1]' })
    expect((await answer('1'))[1]).toBe('R s.1 500 1700000000000000 ["a b",1]')
    const removed = store.forceRelease('{')
    expect(await answer('3')).toEqual(['p:{%7B}', 'F'])
    await expect(removed).resolves.toBe(3)
  })

  test('that failed by itself is told as what it is', async () => {
    const failing = expect(store.renew('k', 's.1', 500)).rejects.toMatchObject({ kind: 'refused', message: 'OOM no memory' })
    await answer([-1, 'OOM no memory'])
    await failing
  })
})

describe('other data in our place', () => {
  const WRONGTYPE = [-1, 'WRONGTYPE Operation against a key holding the wrong kind of value']

  test('are told with key and type', async () => {
    const failing = expect(store.renew('k', 's.1', 500)).rejects.toMatchObject({
      kind: 'conflict',
      message: 'p:{k}:queue holds a list that is not ours; a lock needs a zset there',
    })
    await answer(WRONGTYPE)
    await client.take('TYPE').reply('hash')
    await client.take('TYPE').reply('list')
    await failing
    expect(client.open).toEqual([])
  })

  test('are told as the server tells it, where it does not say more', async () => {
    const failing = expect(store.renew('k', 's.1', 500)).rejects.toMatchObject({
      kind: 'conflict',
      message: expect.stringContaining('p:{k}'),
    })
    await answer(WRONGTYPE)
    for (let i = 0; i < 3; i++) await client.take('TYPE').fail(replyError('NOPERM no rights'))
    await failing
  })

  test('do not keep a query of all names from telling about the others', async () => {
    const querying = store.query({})
    await turn()
    await client.take('SCAN').reply(['0', ['p:{a}', 'p:{b}']])
    const call = client.take('EVALSHA')
    await call.reply(['5000000', WRONGTYPE, NOBODY])
    await client.take('TYPE').reply('string')
    await expect(querying).resolves.toEqual({ held: [], pending: [] })
  })
})

describe('a query', () => {
  test('of all names looks through the keys, and at each name once', async () => {
    const querying = store.query({ prefix: 'a' })
    await turn()
    const scan = client.take('SCAN')
    expect(scan.args).toEqual(['SCAN', '0', 'MATCH', 'p:{a*}', 'COUNT', '1000'])
    await scan.reply(['17', ['p:{ab}', 'p:{ab}:queue', 'p:{a}', 'p:{b}']])
    const next = client.take('SCAN')
    expect(next.args[1]).toBe('17')
    await next.reply(['0', ['p:{ab}', 'p:inbox:x']])
    const call = client.take('EVALSHA')
    expect(call.args.slice(2, 7)).toEqual(['2', 'p:{ab}', 'p:{a}', 'Q', 'Q'])
    await call.reply(['5000000', NOBODY, NOBODY])
    await expect(querying).resolves.toEqual({ held: [], pending: [] })
  })

  test('of one name looks at that alone', async () => {
    const querying = store.query({ name: 'k' })
    expect(await answer(NOBODY)).toEqual(['p:{k}', 'Q'])
    await querying
    expect(client.open).toEqual([])
  })
})

describe('warnings', () => {
  test.each([
    ['maxmemory:1048576\r\nmaxmemory_policy:allkeys-lru\r\n', 1],
    ['maxmemory:1048576\r\nmaxmemory_policy:volatile-ttl\r\n', 1],
    ['maxmemory:1048576\r\nmaxmemory_policy:noeviction\r\n', 0],
    ['maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n', 0],
    ['', 0],
    [replyError('NOPERM no rights'), 0],
  ])('of a server that may evict locks: %j', async (memory, count) => {
    const { listener } = await listen(memory)
    expect(listener.warning).toHaveBeenCalledTimes(count)
    if (count) expect(listener.warning).toHaveBeenCalledWith('EVICTION', expect.stringContaining('Use noeviction'))
  })

  test('of the client are told to each session, and of the server only asked for once', async () => {
    client.warnings = [{ code: 'KEY_PREFIX', message: 'it has a prefix' }]
    const { listener } = await listen('maxmemory:1\r\nmaxmemory_policy:allkeys-lru\r\n')
    const later = makeListener()
    await store.listen('BBBBBBBBBBBBBBBBBBBBBB', later)
    expect(client.open).toEqual([])
    const codes = (one: typeof listener) => one.warning.mock.calls.map(([code]) => code).sort()
    expect(codes(later)).toEqual(['EVICTION', 'KEY_PREFIX'])
    expect(codes(listener)).toContain('EVICTION')
  })
})

describe('the connection', () => {
  test('that comes and goes is told to those who listen', async () => {
    const { listener, leave } = await listen()
    await client.down('reset')
    await client.up()
    expect(listener.disconnected).toHaveBeenCalledWith(expect.objectContaining({ message: 'reset' }), false)
    expect(listener.restored).toHaveBeenCalledTimes(1)
    await leave()
    await client.up()
    expect(listener.restored).toHaveBeenCalledTimes(1)
  })

  test('is closed with the store, and nothing is left', async () => {
    const { leave } = await listen()
    await leave()
    await store.close()
    expect([client.closed, client.watchers.size, clock.pending, client.keepsAlive]).toEqual([1, 0, 0, false])
    await expect(store.renew('k', 's.1', 500)).rejects.toMatchObject({ kind: 'refused' })
  })

  test('that can not hear is made up for by asking more often', () => {
    expect(store.checkEveryMs).toBe(2_000)
    client.wake = 'none'
    expect(makeStore().checkEveryMs).toBe(200)
    expect(makeStore({ checkEveryMs: 70, claimWindowMs: 300 })).toMatchObject({ checkEveryMs: 70, claimWindowMs: 300 })
  })

  test('has answered once something was answered', async () => {
    expect(store.hasAnswered).toBe(false)
    void store.renew('k', 's.1', 500)
    await answer('1')
    expect(store.hasAnswered).toBe(true)
  })
})
