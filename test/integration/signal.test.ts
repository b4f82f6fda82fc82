import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { errorOf, useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** An acquire that is aborted: before it began, while it waits, just as it is granted, afterwards. */

const redis = useRedis()
const makeLocksmith = useLocksmiths(redis)

describe('before', () => {
  test.each([undefined, 'text', new Error('mine')])('rejects with the reason %s, and sends no command', async (reason) => {
    const locksmith = makeLocksmith()
    const signal = AbortSignal.abort(reason)
    const { total } = await redis.countCommands(async () => {
      const errors = [
        await errorOf(locksmith.acquire('k', { signal })),
        await errorOf(locksmith.acquire(['k', 'l'], { signal })),
        await errorOf(locksmith.tryAcquire('k', { signal })),
        await errorOf(locksmith.using('k', { signal }, () => {})),
        await errorOf(locksmith.semaphore('k', 2).acquire({ signal })),
      ]
      for (const error of errors) expect(error).toBe(signal.reason)
    })
    expect(total).toBe(0)
    expect(await redis.clientList()).toEqual([])
  })
})

describe('while waiting', () => {
  test('rejects with the reason, and leaves the queue', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const lock = await a.acquire('k')
    const controller = new AbortController()
    const aborted = b.acquire('k', { signal: controller.signal })
    await waitersOf(b, 'k', 1)
    const patient = b.acquire('k')
    await waitersOf(b, 'k', 2)
    const reason = new Error('mine')
    controller.abort(reason)
    expect(await errorOf(aborted)).toBe(reason)
    await waitersOf(a, 'k', 1)
    await lock.release()
    await (await patient).release()
    await redis.expectOnlyTokens()
  })

  test('by a timeout is the error of the timeout', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await a.acquire('k')
    expect(await errorOf(b.acquire('k', { signal: AbortSignal.timeout(50) }))).toMatchObject({ name: 'TimeoutError' })
  })

  test('one signal ends all that share it, and has no listener of ours afterwards', async () => {
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    await a.acquire('k')
    const controller = new AbortController()
    const { signal } = controller
    const added: unknown[] = []
    const { addEventListener } = signal
    signal.addEventListener = (...args: any[]) => {
      added.push(args[1])
      Reflect.apply(addEventListener, signal, args)
    }
    const all = Array.from({ length: 20 }, () => errorOf(b.acquire('k', { signal })))
    await b.acquire('free', { signal })
    await waitersOf(b, 'k', 20)
    controller.abort('reason')
    expect(new Set(await Promise.all(all))).toEqual(new Set(['reason']))
    // Node warns of an eleventh listener: there is one, however many wait.
    expect(new Set(added).size).toBe(1)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await waitersOf(a, 'k', 0)
  })
})

describe('afterwards', () => {
  test('has no effect on the lock', async () => {
    const locksmith = makeLocksmith()
    const controller = new AbortController()
    const lock = await locksmith.acquire('k', { signal: controller.signal })
    controller.abort()
    expect(lock.state).toBe('held')
    expect(lock.signal.aborted).toBe(false)
    await expect(lock.release()).resolves.toEqual({ released: true })
  })
})

/** Repeatable random numbers, from 0 to 1. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296
    return state / 4_294_967_296
  }
}

describe('just as it is granted', () => {
  test.each(['waiting', 'free'])('nobody is left holding, and the queue moves on: the lock is %s', async (how) => {
    const [a, b, c] = [makeLocksmith(), makeLocksmith(), makeLocksmith()]
    for (const locksmith of [a, b, c]) await locksmith.using('k', () => {})
    const random = randomFrom(how === 'free' ? 7 : 42)
    const outcomes = { granted: 0, aborted: 0 }
    for (let round = 0; round < 120; round++) {
      const held = how === 'waiting' ? await a.acquire('k') : undefined
      const controller = new AbortController()
      const acquiring = b.acquire('k', { signal: controller.signal })
      if (held) await waitersOf(a, 'k')
      const releasing = held?.release()
      // In some rounds before anything can have come back, in some after all has.
      const untilMs = random() < 0.3 ? 0 : performance.now() + random() * 1.5
      if (untilMs > 0) await until(() => performance.now() >= untilMs, { everyMs: 0 }).catch(() => {})
      for (let turns = Math.floor(random() * 4); turns > 0; turns--) await nextTurn()
      controller.abort('reason')
      const outcome = await acquiring.catch((error) => error)
      await releasing
      if (outcome === 'reason') {
        outcomes.aborted += 1
      } else {
        outcomes.granted += 1
        expect(outcome.state).toBe('held')
        await expect(outcome.release()).resolves.toEqual({ released: true })
      }
      const startMs = performance.now()
      await (await c.acquire('k', { waitMs: 5_000 })).release()
      // Sooner than the regular check would have moved the queue on.
      expect(performance.now() - startMs).toBeLessThan(1_500)
    }
    expect(outcomes.granted).toBeGreaterThan(0)
    expect(outcomes.aborted).toBeGreaterThan(0)
    expect(await a.query()).toEqual({ held: [], pending: [] })
  })
})
