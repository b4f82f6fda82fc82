import { expect, test } from 'vitest'
import { safetyMarginMs } from '../../src/lease/validity.js'
import { abortedBefore, endOf, KEEPS_DATA, useLabs, VIAS, within } from './lab.js'
import { BLACK_HOLE, CUT, KILLED, PAUSED } from './outages.js'

/** C3, S1: the server goes away while a lock is held. The lock is unknown, then lost at its deadline, or held again. */

const CASES = [
  { outage: KILLED, vias: VIAS },
  { outage: PAUSED, vias: VIAS.slice(0, 1) },
  { outage: CUT, vias: VIAS.slice(0, 1) },
  { outage: BLACK_HOLE, vias: VIAS },
]

const openLab = useLabs()

for (const { outage, vias } of CASES) {
  const { what, silent, begin, end } = outage
  // A renewal must be known to have failed well before the end of the lease.
  const ttlMs = silent ? 4_500 : 3_000

  test.concurrent.for(vias)(`${what}, %s: unknown, and lost at the deadline`, async (via, context) => {
    const lab = await openLab(context, { args: KEEPS_DATA })
    const [locksmith, other] = [await lab.locksmith({ via, ttlMs }), await lab.locksmith({ direct: true })]
    const askedAtMs = performance.now()
    const lock = await locksmith.acquire(lab.name)
    const { signal, fencingToken } = lock
    const next = other.acquire(lab.name)
    const abortedWhenNextEntered = next.then(() => signal.aborted)
    await lab.diary.seen('waiting')

    await begin(lab)
    await lab.diary.seen('unknown')
    const deadlineMs = performance.now() + lock.remainingMs
    expect(deadlineMs).toBeGreaterThanOrEqual(askedAtMs + ttlMs - safetyMarginMs(ttlMs))
    expect(lock.state).toBe('unknown')
    lock.assertHeld()
    expect(signal.aborted).toBe(false)

    const reason = await abortedBefore(signal, endOf(deadlineMs, ttlMs))
    expect(reason).toMatchObject({ code: 'LOCK_LOST', key: lab.name })
    expect((await lab.diary.seen('lost')).atMs).toBeGreaterThanOrEqual(deadlineMs - 0.1)
    expect(lock.state).toBe('lost')
    expect(lock.remainingMs).toBe(0)
    expect(() => lock.assertHeld()).toThrow(reason)
    expect(await within(5_000, lock.release())).toEqual({ released: false, reason: 'lost' })

    await end(lab)
    expect((await next).fencingToken).toBeGreaterThan(fencingToken)
    expect(await abortedWhenNextEntered).toBe(true)
    expect(lab.diary.kinds).toEqual(['granted', 'waiting', 'unknown', 'lost', 'granted'])
  })

  test.concurrent.for(vias)(`${what}, %s: unknown, and held again when it is back in time`, async (via, context) => {
    const lab = await openLab(context, { args: KEEPS_DATA })
    // Clients take up to two seconds between attempts to connect.
    const leaseMs = silent ? 6_500 : 9_000
    const locksmith = await lab.locksmith({ via, ttlMs: leaseMs })
    const lock = await locksmith.acquire(lab.name)
    const { signal } = lock

    await begin(lab)
    await lab.diary.seen('unknown')
    await end(lab)
    const heldAt = await lab.diary.seen('held')
    expect(lock.state).toBe('held')
    expect(lock.remainingMs).toBeGreaterThan(leaseMs / 2 - (performance.now() - heldAt.atMs))
    expect(signal.aborted).toBe(false)
    expect(await lab.holders()).toHaveLength(1)
    expect(await lock.release()).toEqual({ released: true })
    expect(lab.diary.kinds).toEqual(['granted', 'unknown', 'held', 'released'])
  })
}

test.concurrent('a lease that is shorter than the patience with a request ends on time all the same', async (context) => {
  const lab = await openLab(context)
  const ttlMs = 500
  const locksmith = await lab.locksmith({ ttlMs })
  await lab.warmUp(locksmith)
  const lock = await locksmith.acquire(lab.name)
  lab.proxy.blackHole()
  const deadlineMs = performance.now() + lock.remainingMs
  await abortedBefore(lock.signal, endOf(deadlineMs, ttlMs))
  expect((await lab.diary.seen('lost')).atMs).toBeGreaterThanOrEqual(deadlineMs - 0.1)
})
