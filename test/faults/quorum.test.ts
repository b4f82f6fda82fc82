import { expect, test } from 'vitest'
import type { RedisServer } from '../../scripts/redis-server.mjs'
import type { HeldLock, Locksmith } from '../../src/index.js'
import { startIndependents } from '../support/independents.js'
import { errorOf, waitersOf } from '../support/locksmiths.js'
import { until } from '../support/until.js'

/** Q1 to Q7: several independent servers, some of which are dead, hung, slow or empty. */

const at = (servers: readonly RedisServer[], index: number): RedisServer => servers[index] as RedisServer

/** Each in turn takes the lock, with a larger token; nobody meets another. */
async function takeTurns(locksmiths: readonly Locksmith[], name: string, rounds: number): Promise<void> {
  let inside = 0
  let last = 0
  const turn = async (lock: HeldLock) => {
    inside += 1
    expect([inside, lock.state]).toEqual([1, 'held'])
    expect(lock.fencingToken).toBeGreaterThan(last)
    last = lock.fencingToken
    await new Promise((resolve) => setImmediate(resolve))
    inside -= 1
  }
  await Promise.all(
    locksmiths.map(async (locksmith) => {
      for (let round = 0; round < rounds; round++) await locksmith.using(name, { waitMs: 15_000 }, turn)
    }),
  )
}

test('one of five is dead and one hangs: locking goes on; with three gone nothing is granted; then it goes on by itself', async ({
  skip,
}) => {
  const { servers, make } = await startIndependents(5, skip)
  const [one, other] = [make(), make()]
  await takeTurns([one, other], 'before', 3)
  await at(servers, 0).kill()
  await at(servers, 1).pause()
  await takeTurns([one, other], 'less', 5)

  const held = await one.acquire('held', { ttlMs: 3_000 })
  await at(servers, 2).kill()
  const startedMs = performance.now()
  const error = await errorOf(other.acquire('none', { waitMs: 1_000 }))
  expect(error.code).toBe('LOCK_UNAVAILABLE')
  expect(performance.now() - startedMs).toBeLessThan(5_000)
  // Every server that does not answer, with its own reason.
  for (const index of [0, 2]) expect(error.message).toContain(`${at(servers, index).host}:${at(servers, index).port}: `)
  await expect(other.tryAcquire('held')).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  await until(() => held.signal.aborted, { what: 'the loss of what no majority keeps', timeoutMs: 6_000 })
  expect(held.signal.reason).toMatchObject({ code: 'LOCK_LOST' })

  at(servers, 1).resume()
  // Three answer again, and none of them has forgotten anything.
  await takeTurns([one, other], 'after', 3)
})

test('a majority of an even number is more than a half', async ({ skip }) => {
  const { servers, make } = await startIndependents(4, skip)
  const [one, other] = [make(), make()]
  await at(servers, 3).kill()
  await takeTurns([one, other], 'three of four', 3)
  await at(servers, 2).kill()
  await expect(one.acquire('two of four', { waitMs: 500 })).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
})

test('messages that are lost cost a check, and no grant', async ({ skip }) => {
  const group = await startIndependents(3, skip)
  const { proxies, nodes } = await group.proxied()
  const [one, other] = [group.make(), group.make({ nodes })]
  const held = await one.acquire('deaf')
  const waiting = other.acquire('deaf', { waitMs: 15_000 })
  await waitersOf(one, 'deaf')
  for (const proxy of proxies) proxy.dropPushes()
  await held.release()
  expect((await waiting).fencingToken).toBeGreaterThan(held.fencingToken)
})

test('a split vote of two settles: neither keeps its half', async ({ skip }) => {
  const group = await startIndependents(2, skip)
  const [near, far] = [await group.proxied(), await group.proxied()]
  const one = group.make({ nodes: near.nodes })
  const other = group.make({ nodes: far.nodes })
  await takeTurns([one, other], 'warm', 1)
  // Each has the first word with a server of its own.
  near.proxies[1]?.delay({ toServerMs: 30 })
  far.proxies[0]?.delay({ toServerMs: 30 })
  for (let round = 0; round < 5; round++) {
    const locks = [one.acquire('split', { waitMs: 5_000 }), other.acquire('split', { waitMs: 5_000 })]
    const first = await Promise.race(locks)
    await first.release()
    const second = (await Promise.all(locks)).find((lock) => lock !== first)
    expect(second?.fencingToken).toBeGreaterThan(first.fencingToken)
    await second?.release()
  }
})

test('of three servers two come free after 300 ms: within 500 ms it is acquired', async ({ skip }) => {
  const { nodes, make } = await startIndependents(3, skip)
  const waiter = make()
  await (await waiter.acquire('warm')).release()
  const holders = await Promise.all(nodes.map((node) => make({ nodes: [node] }).acquire('ghost')))
  const startedMs = performance.now()
  const waiting = waiter.acquire('ghost', { waitMs: 5_000 })
  setTimeout(() => void Promise.all(holders.slice(0, 2).map((held) => held.release())), 300)
  await waiting
  expect(performance.now() - startedMs).toBeLessThan(500)
})

test('the same when the leases on two of them end', async ({ skip }) => {
  const { nodes, make } = await startIndependents(3, skip)
  const waiter = make()
  await (await waiter.acquire('warm')).release()
  const endless = [60_000, 300, 300]
  await Promise.all(nodes.map((node, i) => make({ nodes: [node] }).acquire('ghost', { ttlMs: endless[i] as number, autoExtend: false })))
  const startedMs = performance.now()
  await waiter.acquire('ghost', { waitMs: 5_000 })
  expect(performance.now() - startedMs).toBeLessThan(500)
})

test('a server that comes back empty does not vote until the longest lease that it may have granted is over', async ({ skip }) => {
  const { servers, make } = await startIndependents(3, skip)
  const [one, other] = [make(), make()]
  await takeTurns([one, other], 'warm', 1)
  await at(servers, 2).pause()
  const held = await one.acquire('held', { ttlMs: 40_000, autoExtend: false })
  // The only ones that could grant it to another are one that never heard of it, and one that forgot.
  await at(servers, 1).restart()
  at(servers, 2).resume()
  const later = make()
  for (const locksmith of [other, later]) {
    expect(await locksmith.tryAcquire('held').catch((error) => error.code)).toSatisfy((it) => it === null || it === 'LOCK_UNAVAILABLE')
    await expect(locksmith.acquire('held', { waitMs: 1_500 })).rejects.toMatchObject({
      code: expect.stringMatching(/LOCK_(TIMEOUT|UNAVAILABLE)/),
    })
  }
  const [until, longest] = (await at(servers, 1).command('HMGET', '__halocksmith:voter', 'until', 'longest')) as string[]
  const [seconds] = (await at(servers, 1).command('TIME')) as string[]
  expect(Number(until) - Number(seconds) * 1_000).toBeGreaterThan(30_000)
  expect(Number(longest)).toBe(40_000)
  await held.release()
  // The two others are a majority.
  await takeTurns([one, other, later], 'held', 2)
})

test('a server whose data are deleted does not vote either', async ({ skip }) => {
  const { servers, make } = await startIndependents(3, skip)
  const [one, other] = [make(), make()]
  await takeTurns([one, other], 'warm', 1)
  await at(servers, 2).pause()
  await one.acquire('held', { autoExtend: false })
  await at(servers, 1).command('FLUSHALL')
  at(servers, 2).resume()
  await expect(other.acquire('held', { waitMs: 1_500 })).rejects.toMatchObject({
    code: expect.stringMatching(/LOCK_(TIMEOUT|UNAVAILABLE)/),
  })
})

test('a lock that is held for long outlasts the restart of one server after another', async ({ skip }) => {
  const { servers, nodes, make } = await startIndependents(3, skip)
  const locksmith = make()
  const held = await locksmith.acquire('long', { ttlMs: 1_500 })
  const { fencingToken } = held
  for (const [index, server] of servers.entries()) {
    await server.kill()
    await server.start()
    // It is empty, and as good as new for this test.
    const run = /^run_id:(\w+)/m.exec(await server.command('INFO', 'server'))?.[1] as string
    await server.command('HSET', '__halocksmith:voter', 'until', '0', 'longest', '30000', 'run', run)
    await until(async () => (await server.command('HEXISTS', '__halocksmith:{long}', 'used')) === 1, {
      what: `the lock is on ${nodes[index]}`,
    })
  }
  expect([held.state, held.fencingToken]).toEqual(['held', fencingToken])
  expect(await make().tryAcquire('long')).toBeNull()
  expect(await held.release()).toEqual({ released: true })
  await takeTurns([locksmith], 'long', 1)
})

test('what a hung server grants to a claim that was given up goes back', async ({ skip }) => {
  const { servers, make } = await startIndependents(3, skip)
  const locksmith = make()
  await takeTurns([locksmith], 'late', 1)
  const hung = at(servers, 2)
  await hung.pause()
  for (let i = 0; i < 3; i++) await (await locksmith.acquire('late')).release()
  const abort = new AbortController()
  const held = await locksmith.acquire('late')
  const given = locksmith.acquire('late', { signal: abort.signal })
  abort.abort(new Error('enough'))
  await expect(given).rejects.toThrow('enough')
  await held.release()
  hung.resume()
  await until(
    async () =>
      !((await hung.command('HGETALL', '__halocksmith:{late}')) as string[]).some((field) => field === 'used' || field === 'ticket'),
    {
      what: 'nothing is held or waited for on the server that hung',
    },
  )
})

test('a grant that takes longer than its lease is not handed out', async ({ skip }) => {
  const group = await startIndependents(3, skip)
  const { proxies, nodes } = await group.proxied()
  const slow = group.make({ nodes })
  await (await slow.acquire('warm')).release()
  for (const proxy of proxies) proxy.delay(60)
  await expect(slow.acquire('slow', { ttlMs: 100, waitMs: 800 })).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  for (const proxy of proxies) proxy.delay(0)
  await (await group.make().acquire('slow', { waitMs: 2_000 })).release()
})

test('readers share, a writer is alone', async ({ skip }) => {
  const { make } = await startIndependents(3, skip)
  const [one, other] = [make().readWriteLock('book'), make().readWriteLock('book')]
  const readers = await Promise.all([one.read.acquire(), other.read.acquire()])
  expect(await other.write.tryAcquire()).toBeNull()
  const writer = other.write.acquire()
  for (const reader of readers) await reader.release()
  const written = await writer
  expect(await one.read.tryAcquire()).toBeNull()
  await written.release()
  await (await one.read.acquire()).release()
})

test('a semaphore of several permits is refused, and why, and so is a confirmation by replicas', async ({ skip }) => {
  const { make } = await startIndependents(3, skip)
  const locksmith = make()
  const error = await errorOf(locksmith.semaphore('many', 2).acquire())
  expect(error).toMatchObject({ code: 'LOCK_OPTION', option: 'limit' })
  expect(error.message).toMatch(/must be 1 on several independent servers: .*; got 2/)
  await (await locksmith.semaphore('one', 1).acquire()).release()
  await expect(locksmith.acquire('copied', { minReplicas: 1 })).rejects.toMatchObject({ code: 'LOCK_OPTION', option: 'minReplicas' })
})

test('nobody else gets in between: a claim of another process waits its turn', async ({ skip }) => {
  const { make } = await startIndependents(3, skip)
  const locksmiths = [make({ handOverLimit: 0 }), make({ handOverLimit: 0 }), make({ handOverLimit: 0 })]
  const held = await (locksmiths[0] as Locksmith).acquire('order')
  const order: number[] = []
  const claims: Promise<void>[] = []
  for (let i = 0; i < 9; i++) {
    const claim = (locksmiths[i % 3] as Locksmith).acquire('order').then(async (lock) => {
      order.push(i)
      await lock.release()
    })
    claims.push(claim)
    await waitersOf(locksmiths[0] as Locksmith, 'order', i + 1)
  }
  await held.release()
  await Promise.all(claims)
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
})
