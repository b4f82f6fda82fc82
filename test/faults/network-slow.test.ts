import { expect, test } from 'vitest'
import { safetyMarginMs } from '../../src/lease/validity.js'
import { abortedBefore, endOf, failure, type Lab, useLabs, VIAS } from './lab.js'

/** C6, S10: everything takes long. Slow is not wrong, and no lease is believed to last longer than it does. */

const openLab = useLabs()

/** What is left of the lease on the server, at this moment. */
async function leftAtServer(lab: Lab): Promise<number> {
  const [[seconds, micros], { ends }] = await Promise.all([lab.redis.command('TIME'), lab.state()])
  return Number(ends) - (Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000))
}

for (const delayMs of [300, 500]) {
  test.concurrent.for(VIAS)(`%s, ${delayMs} ms each way: a lease is shorter by what its grant took`, async (via, context) => {
    const lab = await openLab(context)
    const locksmith = await lab.locksmith({ via })
    await lab.warmUp(locksmith)
    lab.proxy.delay(delayMs)
    const ttlMs = 5_000
    const askedAtMs = performance.now()
    const lock = await locksmith.acquire(lab.name, { ttlMs, autoExtend: false })
    const heldMs = performance.now() - askedAtMs
    expect(heldMs).toBeGreaterThanOrEqual(2 * delayMs)
    expect(lock.remainingMs).toBeLessThanOrEqual(ttlMs - safetyMarginMs(ttlMs) - 2 * delayMs)
    // Counted from the sending, it ends here before it ends there, by as much as the request was under way.
    const { remainingMs } = lock
    expect(remainingMs).toBeLessThanOrEqual((await leftAtServer(lab)) - delayMs + (performance.now() - askedAtMs - heldMs))
    await lock.extend()
    expect(lock.remainingMs).toBeLessThanOrEqual(ttlMs - safetyMarginMs(ttlMs) - 2 * delayMs)
    expect(await lock.release()).toEqual({ released: true })
  })
}

test.concurrent.for(VIAS)('%s, 500 ms each way from the first connection on: acquired and released', async (via, context) => {
  const lab = await openLab(context)
  lab.proxy.delay(500)
  const locksmith = await lab.locksmith({ via, ttlMs: 10_000 })
  const lock = await locksmith.acquire(lab.name, { waitMs: 10_000 })
  expect(await lock.release()).toEqual({ released: true })
})

test.concurrent('500 ms each way: a lease of six seconds is kept, and a waiter enters', async (context) => {
  const lab = await openLab(context)
  const [locksmith, other] = [await lab.locksmith({ ttlMs: 6_000 }), await lab.locksmith({ direct: true })]
  await lab.warmUp(locksmith)
  const first = await other.acquire(lab.name)
  const waiting = locksmith.acquire(lab.name)
  await lab.diary.seen('waiting')
  lab.proxy.delay(500)
  const renewals = lab.proxy.onCommand(lab.carries('R'), 'pass')
  await first.release()
  const lock = await waiting
  const { signal } = lock
  await renewals.hit(3)
  lock.assertHeld()
  expect(signal.aborted).toBe(false)
  expect(await lock.release()).toEqual({ released: true })
  expect(lab.diary.kinds).toEqual(['granted', 'waiting', 'released', 'granted', 'released'])
})

test.concurrent.for(VIAS)('%s: a lease that is shorter than the way there and back is never handed out', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith({ via })
  await lab.warmUp(locksmith)
  lab.proxy.delay(200)
  const error = await failure(locksmith.acquire(lab.name, { ttlMs: 300, waitMs: 1_500 }))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  expect(error.message).toContain('its lease of 300 ms')
  expect(await failure(locksmith.tryAcquire(lab.name, { ttlMs: 300 }))).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  await lab.eventually(async () => expect(await lab.holders()).toEqual([]))
  expect(lab.diary.all('granted')).toEqual([])
})

test.concurrent('nor is one that has become so while it was waited for', async (context) => {
  const lab = await openLab(context)
  const [locksmith, other] = [await lab.locksmith({ ttlMs: 400 }), await lab.locksmith({ direct: true })]
  await lab.warmUp(locksmith)
  const held = await other.acquire(lab.name)
  const waiting = failure(locksmith.acquire(lab.name, { waitMs: 2_500 }))
  await lab.diary.seen('waiting')
  lab.proxy.delay(450)
  await held.release()
  expect(await waiting).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  expect(lab.diary.all('granted')).toHaveLength(1)
})

test.concurrent('a lease that is not much longer is lost before its end, not after', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith()
  await lab.warmUp(locksmith)
  lab.proxy.delay(300)
  const ttlMs = 900
  const lock = await locksmith.acquire(lab.name, { ttlMs, autoExtend: false })
  expect(lock.remainingMs).toBeLessThanOrEqual(ttlMs - 600 - safetyMarginMs(ttlMs))
  await abortedBefore(lock.signal, endOf(performance.now() + lock.remainingMs, ttlMs))
})

test.concurrent('a trickle of bytes: a dozen claims go round', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith({ ttlMs: 10_000 })
  await lab.warmUp(locksmith)
  lab.proxy.throttle(4_000)
  let inside = 0
  const claims = Array.from({ length: 12 }, () =>
    locksmith.using(lab.name, { waitMs: 15_000 }, async (lock) => {
      expect(++inside).toBe(1)
      await lab.redis.command('PING')
      inside--
      lock.assertHeld()
      return lock.fencingToken
    }),
  )
  const tokens = await Promise.all(claims)
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
})

test.concurrent.for(VIAS)('%s, a server that takes 100 ms for everything: short leases are renewed early enough', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith({ via, ttlMs: 1_800 })
  await lab.warmUp(locksmith)
  lab.proxy.delay({ toClientMs: 100 })
  const lock = await locksmith.acquire(lab.name)
  const { signal } = lock
  const renewals = lab.proxy.onCommand(lab.carries('R'), 'pass')
  await renewals.hit(4)
  expect(signal.aborted).toBe(false)
  expect(await lock.release()).toEqual({ released: true })
  expect(lab.diary.kinds).toEqual(['granted', 'released'])
})
