import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout as delay } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import type { AcquireOptions, HeldLock, Locksmith, LocksmithOptions } from '../../src/index.js'
import { cycle, tempFile } from '../support/contention.js'
import { checkIntervals, readHistory } from '../support/history.js'
import { spawnLockWorker } from '../support/lock-worker.js'
import { useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { HANDING_ON } from '../support/mode.mjs'
import { ms, useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'
import { Witness } from '../support/workers/witness.mjs'

/** A lock goes from one claim of a process to the next without the server, and claims of other processes wait for that a little at most. */

const redis = useRedis()
const observer = useObserver(redis)
const makeUsual = useLocksmiths(redis)
const makeLocksmith = (options?: LocksmithOptions) => makeUsual({ ...HANDING_ON, ...options })
useWorkers()

/** Longer than any test: only the number of hand-overs counts. */
const NO_TIME_LIMIT_MS = 60_000

const nowNs = () => process.hrtime.bigint()

describe('the claims of one process', () => {
  let locksmith: Locksmith
  beforeEach(async () => {
    locksmith = makeLocksmith()
    // The connection is there, and the scripts are.
    await (await locksmith.acquire('warm')).release()
  })

  /** Makes the claims behind `holders`, lets all go, and counts what the server was asked meanwhile. */
  async function run(holders: HeldLock[], claim: () => Promise<HeldLock>, count: number) {
    const entries: { place: number; fencingToken: number; inside: number }[] = []
    let inside = 0
    const stay = async (place: number) => {
      const lock = await claim()
      inside += 1
      entries.push({ place, fencingToken: lock.fencingToken, inside })
      // Some stay for a while.
      if (place % 50 === 0) await delay(1)
      else if (place % 5 === 0) await Promise.resolve()
      inside -= 1
      expect(await lock.release()).toEqual({ released: true })
    }
    const { calls } = await redis.countCommands(async () => {
      const stays = Array.from({ length: count }, (_, place) => stay(place))
      await waitersOf(locksmith, holders[0]!.name, count)
      for (const holder of holders) await holder.release()
      await Promise.all(stays)
    })
    return { entries, asked: calls.evalsha ?? 0 }
  }

  test('have a mutex one after the other in the order of arrival, with tokens that grow, and hardly ask the server', async () => {
    const first = await locksmith.acquire('n')
    const { entries, asked } = await run([first], () => locksmith.acquire('n'), 500)
    expect(entries.map(({ place }) => place)).toEqual(Array.from({ length: 500 }, (_, i) => i))
    expect(new Set(entries.map(({ inside }) => inside))).toEqual(new Set([1]))
    const tokens = [first.fencingToken, ...entries.map(({ fencingToken }) => fencingToken)]
    expect(tokens.every((token, i) => i === 0 || token > (tokens[i - 1] as number))).toBe(true)
    // Those that look at who waits among them.
    expect(asked).toBeLessThan(30)
    // Whoever comes after all of them is told a larger one still.
    const last = await makeLocksmith().acquire('n')
    expect(last.fencingToken).toBeGreaterThan(tokens.at(-1) as number)
    await last.release()
    await redis.expectOnlyTokens()
  })

  test('share the permits of a semaphore, never more than there are', async () => {
    const semaphore = locksmith.semaphore('n', 3)
    const holders = [await semaphore.acquire(), await semaphore.acquire(), await semaphore.acquire()]
    const { entries, asked } = await run(holders, () => semaphore.acquire(), 200)
    expect(Math.max(...entries.map(({ inside }) => inside))).toBeLessThanOrEqual(3)
    const tokens = [...holders, ...entries].map(({ fencingToken }) => fencingToken)
    expect(new Set(tokens).size).toBe(203)
    expect(entries).toHaveLength(200)
    // Fifteen hand-overs, and then it is the server's turn.
    expect(asked).toBeLessThan(120)
    await redis.expectOnlyTokens()
  })

  test('that want it for different times, in different ways, have it all the same, each alone', async () => {
    const first = await locksmith.acquire('n')
    let count = 0
    const { read, write } = locksmith.readWriteLock('n')
    const kinds = [
      () => locksmith.acquire('n'),
      () => locksmith.acquire('n', { ttlMs: 5_000 }),
      () => write.acquire(),
      () => read.acquire({ priority: 1 }),
    ]
    const { entries } = await run([first], () => (kinds[count++ % 4] as () => Promise<HeldLock>)(), 80)
    expect(entries.map(({ place }) => place).sort((a, b) => a - b)).toEqual(Array.from({ length: 80 }, (_, i) => i))
    // Readers come first by priority, together; everybody else comes alone.
    for (const { place, inside } of entries) if (place % 4 !== 3) expect(inside).toBe(1)
    await redis.expectOnlyTokens()
  })

  test('that are given up in the middle of it all leave nothing', async () => {
    const first = await locksmith.acquire('n')
    const controller = new AbortController()
    const all = Array.from({ length: 90 }, (_, i) =>
      locksmith.acquire('n', { ...(i % 3 === 0 && { signal: controller.signal }), ...(i % 3 === 1 && { waitMs: 30 }) }).then(
        async (lock) => {
          if (i === 2) controller.abort(new Error('enough'))
          await delay(1)
          await lock.release()
          return 'held'
        },
        (error) => error.code ?? error.message,
      ),
    )
    await waitersOf(locksmith, 'n', 90)
    await first.release()
    const ends = await Promise.all(all)
    expect(ends.slice(0, 3)).toEqual(['held', 'held', 'held'])
    expect(ends.filter((_, i) => i % 3 === 2)).toEqual(new Array(30).fill('held'))
    expect(ends.filter((_, i) => i > 2 && i % 3 === 0)).toEqual(new Array(29).fill('enough'))
    expect(ends).toContain('LOCK_TIMEOUT')
    await redis.expectOnlyTokens()
  })
})

test('permits that are handed on come with tokens larger than all before in this process, whosever permits they are', async () => {
  const locksmith = makeLocksmith()
  const pool = locksmith.semaphore('pool', 3)
  const held = [await pool.acquire(), await pool.acquire(), await pool.acquire()]
  const waiting = Array.from({ length: 12 }, () => pool.acquire())
  await waitersOf(locksmith, 'pool', 12)
  const tokens = held.map(({ fencingToken }) => fencingToken)
  const before = await redis.countCommands(async () => {
    for (const next of waiting) {
      await held.shift()?.release()
      const lock = await next
      held.push(lock)
      tokens.push(lock.fencingToken)
    }
  })
  // Hardly a word with the server: they were handed on.
  expect(before.total).toBeLessThan(12)
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
  for (const lock of held) await lock.release()
  await redis.expectOnlyTokens()
})

describe('a claim of another process', () => {
  interface Waits {
    /** How often others entered after the server had it in its queue. */
    readonly overtaken: number[]
    /** How often they entered later than so many ms after that. */
    later(afterMs: number): number[]
    /** How often one and the same of them did. */
    readonly byOne: number[]
  }

  /** A process with `claims` that loop, and one claim here that comes again and again. */
  async function contend(options: object, job: { claims: number; workMs: number }, rounds = 12): Promise<Waits> {
    const witnessFile = tempFile('witness')
    const crowd = await spawnLockWorker({ locksmith: { url: redis.url, ...HANDING_ON, ...options } })
    const report = cycle([crowd], () => ({ names: ['n'], forMs: 60_000, witnessFile, ...job }))
    const locksmith = makeLocksmith(options)
    const witness = new Witness(witnessFile)
    await until(() => readHistory(witnessFile).length > 100, { what: 'the crowd is at work' })
    const stays: { queuedNs: bigint; inNs: bigint }[] = []
    let queuedNs = 0n
    const listener = () => {
      queuedNs = nowNs()
    }
    subscribe('halocksmith:waiting', listener)
    try {
      // Granted at once, now and then: nobody was there at that moment. Those say nothing, and more are needed.
      for (let round = 0; stays.length < rounds && round < 50 * rounds; round++) {
        queuedNs = 0n
        const lock = await locksmith.acquire('n', { waitMs: 10_000 })
        const inNs = nowNs()
        const stay = { name: 'n', holder: 'here', fencingToken: lock.fencingToken, permits: 1, exclusive: true }
        witness.enter(stay)
        if (queuedNs > 0n) stays.push({ queuedNs, inNs })
        witness.leave(stay)
        await lock.release()
        await delay(5)
      }
    } finally {
      unsubscribe('halocksmith:waiting', listener)
      witness.close()
    }
    await crowd.stopCycles()
    const [{ lost, failures } = { lost: -1, failures: [] }] = await report
    expect({ lost, failures }).toEqual({ lost: 0, failures: [] })
    const history = readHistory(witnessFile)
    expect(checkIntervals(history, 1)).toMatchObject({ maxInside: 1, violations: [] })
    await crowd.close()
    await redis.expectOnlyTokens()
    expect(stays).toHaveLength(rounds)
    const entries = history.filter(({ kind, holder }) => kind === 'in' && holder !== 'here')
    const othersIn = (afterNs: bigint) =>
      stays.map(({ queuedNs: from, inNs }) => entries.filter(({ atNs }) => atNs > from + afterNs && atNs < inNs))
    const byOne = othersIn(0n).map((all) => {
      const holders = all.map(({ holder }) => holder)
      return Math.max(0, ...holders.map((holder) => holders.filter((other) => other === holder).length))
    })
    return {
      overtaken: othersIn(0n).map(({ length }) => length),
      later: (afterMs) => othersIn(ms(afterMs)).map(({ length }) => length),
      byOne,
    }
  }

  test('goes behind those that came before it, if locks are not handed on: nobody enters twice while it waits', async () => {
    const { overtaken, byOne } = await contend({ handOverLimit: 0 }, { claims: 20, workMs: 1 })
    expect(Math.max(...byOne)).toBe(1)
    expect(Math.max(...overtaken)).toBeLessThanOrEqual(20)
  })

  test.each([4, 16])('is overtaken by no more than two grants with %d hand-overs each, and a few', async (handOverLimit) => {
    const { overtaken } = await contend({ handOverLimit, handOverMs: NO_TIME_LIMIT_MS }, { claims: 20, workMs: 1 })
    // By those under the present grant, and by those under one whose place in the queue is before it. The news takes a moment, and longer on a
    // busy machine; without a limit it would be all that enter in ten seconds.
    expect(Math.max(...overtaken)).toBeLessThanOrEqual(2 * (handOverLimit + 1) + 20)
    // They do go on inside of the process while it waits.
    expect(Math.max(...overtaken)).toBeGreaterThan(handOverLimit / 2)
  })

  test('is overtaken for 50 ms and a little', async () => {
    const { overtaken, later } = await contend({ handOverLimit: 1_000_000, handOverMs: 50 }, { claims: 20, workMs: 1 })
    expect(Math.max(...overtaken)).toBeGreaterThan(5)
    expect(Math.max(...later(400))).toBeLessThanOrEqual(2)
  })

  // Neither of them ever waits for as long as the server's answer takes, nor is there anybody behind the one that waits.
  test.each([2, 3])('has its turn although %d claims hand the lock to each other at once', async (claims) => {
    const { overtaken } = await contend({}, { claims, workMs: 0 }, 20)
    // A few turns of the event loop pass until it is heard of, of 32 each; without a limit it would be hundreds of thousands.
    expect(Math.max(...overtaken)).toBeLessThan(10_000)
  })

  test('that writes has its turn among readers that hand their permits on', async () => {
    const [here, there] = [makeLocksmith(), makeLocksmith()]
    const { read } = here.readWriteLock('n')
    const first = await read.acquire()
    const writing = there.readWriteLock('n').write.acquire()
    await waitersOf(here, 'n', 1)
    let readers = 0
    let writerIsIn = false
    let readersBefore = 0
    const all = Array.from({ length: 60 }, async () => {
      const lock = await read.acquire()
      readers += 1
      if (!writerIsIn) readersBefore += 1
      await delay(1)
      await lock.release()
    })
    await waitersOf(here, 'n', 61)
    await first.release()
    const writer = await writing
    writerIsIn = true
    expect(readersBefore).toBe(readers)
    expect(readersBefore).toBeLessThanOrEqual(15)
    expect(readersBefore).toBeGreaterThan(0)
    await delay(5)
    expect(readers).toBe(readersBefore)
    await writer.release()
    await Promise.all(all)
    await redis.expectOnlyTokens()
  })
})

test('a process that is killed while its claims hand the lock on holds others up until its lease ends, and tokens grow', async () => {
  const witnessFile = tempFile('witness')
  const crowd = await spawnLockWorker({ locksmith: { url: redis.url, handOverLimit: 1_000_000, handOverMs: NO_TIME_LIMIT_MS } })
  cycle([crowd], () => ({ names: ['n'], forMs: 60_000, witnessFile, claims: 20, workMs: 1, options: { ttlMs: 1_000 } })).catch(() => {})
  await until(() => readHistory(witnessFile).length > 100, { what: 'the crowd is at work' })
  const locksmith = makeLocksmith()
  const acquiring = locksmith.acquire('n').then((lock) => ({ lock, atNs: nowNs() }))
  const entries = readHistory(witnessFile).length
  // Its claim waits, and they go on without it.
  await until(() => readHistory(witnessFile).length > entries + 200, { what: 'the lock is handed on' })
  await crowd.process.kill()
  const { notBeforeNs, notAfterNs } = await observer.leaseEnd('n', crowd.process.pid)
  const { lock, atNs } = await acquiring
  expect(atNs).toBeGreaterThan(notBeforeNs)
  expect(atNs).toBeLessThan(notAfterNs + ms(250))
  const tokens = readHistory(witnessFile).map(({ fencingToken }) => fencingToken)
  expect(lock.fencingToken).toBeGreaterThan(Math.max(...tokens))
  await lock.release()
  await redis.expectOnlyTokens()
})

describe('a lock that was handed on', () => {
  /** The second of two claims of one process, which the first has handed the lock to. */
  async function handedOn(options: AcquireOptions = {}) {
    const locksmith = makeLocksmith()
    const first = await locksmith.acquire('n', options)
    const next = locksmith.acquire('n', options)
    await waitersOf(locksmith, 'n', 1)
    const { result: second, calls } = await redis.countCommands(async () => {
      await first.release()
      return next
    })
    // At most the seat that nobody wants any more is given back.
    expect(calls.publish ?? 0).toBe(0)
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken)
    return { locksmith, first, second }
  }

  const aborted = (lock: HeldLock) => until(() => lock.signal.aborted, { what: 'its signal fires' })

  test('is lost to its present holder when it is taken away by force, at once', async () => {
    const { first, second } = await handedOn()
    const { signal } = second
    expect(await makeLocksmith().forceRelease('n')).toBe(1)
    await aborted(second)
    expect(signal.reason).toMatchObject({ code: 'LOCK_LOST', key: 'n' })
    expect([first.signal.aborted, second.state]).toEqual([false, 'lost'])
    expect(await second.release()).toEqual({ released: false, reason: 'lost' })
    await redis.expectOnlyTokens()
  })

  test('is lost to its present holder when the server forgets it, at the next renewal', async () => {
    const { second } = await handedOn({ ttlMs: 600 })
    await redis.flush()
    await aborted(second)
    expect(second.state).toBe('lost')
  })

  test('is shown with its present holder, here at once, elsewhere once it is renewed', async () => {
    const { locksmith, second } = await handedOn({ ttlMs: 600, metadata: { job: 'second' } })
    const { held } = await locksmith.query({ name: 'n' })
    expect(held).toMatchObject([{ fencingToken: second.fencingToken }])
    const shown = async () => (await observer.look('n')).held[0]
    await until(async () => (await shown())?.fencingToken === second.fencingToken, { what: 'the server knows who holds it' })
    expect(await shown()).toMatchObject({ metadata: { job: 'second' }, pid: process.pid })
    expect(second.state).toBe('held')
  })

  test('is kept for far longer than its lease', async () => {
    const { second } = await handedOn({ ttlMs: 300 })
    const untilNs = nowNs() + ms(1_200)
    await observer.pastNs(untilNs)
    expect([second.state, second.signal.aborted]).toEqual(['held', false])
    expect(await makeLocksmith().tryAcquire('n')).toBeNull()
    expect(await second.release()).toEqual({ released: true })
    await redis.expectOnlyTokens()
  })

  test('ends with maxHoldMs, counted from when its holder had it', async () => {
    const { second } = await handedOn({ maxHoldMs: 600 })
    const hadNs = nowNs()
    const other = await makeLocksmith().acquire('n')
    const gotNs = nowNs()
    expect(second.signal.aborted).toBe(true)
    // Not with the grant, which was before; the end itself is the server's.
    expect(gotNs).toBeGreaterThan(hadNs + ms(250))
    expect(gotNs).toBeLessThan(hadNs + ms(600 + 250))
    expect(other.fencingToken).toBeGreaterThan(second.fencingToken)
  })

  test('can be serialized and restored elsewhere, and then goes to nobody here without the server', async () => {
    const { locksmith, second } = await handedOn()
    const elsewhere = await makeLocksmith().restore(second.serialize())
    expect(elsewhere.fencingToken).toBe(second.fencingToken)
    const next = locksmith.acquire('n')
    await waitersOf(locksmith, 'n', 1)
    await second.release()
    const third = await next
    // The id went with its lock: whoever restored it holds nothing now.
    await expect(elsewhere.extend()).rejects.toMatchObject({ code: 'LOCK_LOST' })
    expect(third.fencingToken).toBeGreaterThan(second.fencingToken)
    expect(third.state).toBe('held')
  })
})

test('a lock that is to be held for minHoldMs is not handed on before', async () => {
  const locksmith = makeLocksmith()
  const first = await locksmith.acquire('n', { minHoldMs: 300 })
  const grantedNs = nowNs()
  const next = locksmith.acquire('n').then((lock) => ({ lock, atNs: nowNs() }))
  await waitersOf(locksmith, 'n', 1)
  await first.release()
  const { lock, atNs } = await next
  expect(atNs).toBeGreaterThan(grantedNs + ms(290))
  await lock.release()
  await redis.expectOnlyTokens()
})

test('a locksmith that is closed in the middle of it leaves nothing', async () => {
  const locksmith = makeLocksmith()
  const stays = Array.from({ length: 200 }, async () => {
    const lock = await locksmith.acquire('n')
    await delay(1)
    await lock.release()
  })
  const ends = Promise.allSettled(stays)
  await stays[20]
  await locksmith.close()
  const statuses = (await ends).map(({ status }) => status)
  expect(statuses.slice(0, 20)).not.toContain('rejected')
  expect(statuses.slice(-100)).not.toContain('fulfilled')
  expect(await makeLocksmith().tryAcquire('n')).not.toBeNull()
  await redis.expectEmpty('__halocksmith:', ({ key }) => key === '__halocksmith:{n}')
})
