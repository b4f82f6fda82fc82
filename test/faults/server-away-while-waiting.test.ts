import { expect, test } from 'vitest'
import { carries, failure, KEEPS_DATA, type Lab, type LabLocksmithOptions, useLabs, VIAS, within } from './lab.js'
import { BLACK_HOLE, CUT, KILLED, PAUSED } from './outages.js'

/** C3, C4, S1: the server goes away while a claim waits. It waits on, and is granted when the server is back, or told that it is away. */

const openLab = useLabs()

/** Somebody who holds the lock, past the proxy and for longer than the test lasts, and a locksmith that wants it. */
async function open(lab: Lab, options?: LabLocksmithOptions) {
  const [holder, locksmith] = [await lab.locksmith({ direct: true }), await lab.locksmith(options)]
  await lab.warmUp(locksmith)
  return { lock: await holder.acquire(lab.name), locksmith }
}

for (const outage of [KILLED, PAUSED]) {
  test.concurrent.for(VIAS)(
    `${outage.what}, %s: granted when it is back, though the release was asked for meanwhile`,
    async (via, context) => {
      const lab = await openLab(context, { args: KEEPS_DATA })
      const { lock, locksmith } = await open(lab, { via })
      const waiting = locksmith.acquire(lab.name, { waitMs: 15_000 })
      await lab.diary.seen('waiting')
      await outage.begin(lab)
      const releasing = lock.release()
      await outage.end(lab)
      expect(await releasing).toEqual({ released: true })
      const granted = await waiting
      expect(granted.fencingToken).toBeGreaterThan(lock.fencingToken)
      expect(await granted.release()).toEqual({ released: true })
    },
  )
}

test.concurrent.for(VIAS)('a cut connection, %s: passed over while it was away, granted when it is back', async (via, context) => {
  const lab = await openLab(context)
  const { lock, locksmith } = await open(lab, { via })
  const waiting = locksmith.acquire(lab.name, { waitMs: 15_000 })
  await lab.diary.seen('waiting')
  await CUT.begin(lab)
  await lab.inboxesAre(1)
  expect(await lock.release()).toEqual({ released: true })
  expect(await lab.waiters()).toEqual([])
  expect(await lab.holders()).toEqual([])
  await CUT.end(lab)
  const granted = await waiting
  expect(granted.fencingToken).toBeGreaterThan(lock.fencingToken)
})

for (const how of ['late', 'reset'] as const) {
  test.concurrent.for(VIAS)(`a black hole that ends with a ${how}, %s: granted into it, and found afterwards`, async (via, context) => {
    const lab = await openLab(context)
    const { lock, locksmith } = await open(lab, { via })
    const waiting = locksmith.acquire(lab.name, { waitMs: 15_000 })
    await lab.diary.seen('waiting')
    const asked = lab.proxy.onCommand(carries('A', lab.name), 'pass')
    BLACK_HOLE.begin(lab)
    expect(await lock.release()).toEqual({ released: true })
    // The server can't know that nobody hears it.
    expect(await lab.waiters()).toEqual([])
    expect(await lab.holders()).toHaveLength(1)
    await asked.hit()
    lab.proxy.heal(how)
    const granted = await waiting
    expect(granted.state).toBe('held')
    expect(granted.fencingToken).toBeGreaterThan(lock.fencingToken)
    expect(await granted.release()).toEqual({ released: true })
  })
}

for (const outage of [KILLED, CUT, PAUSED, BLACK_HOLE]) {
  test.concurrent.for(outage === KILLED ? VIAS : VIAS.slice(0, 1))(
    `${outage.what}, %s, until the end of the wait: unavailable, not busy, and the claim is taken back`,
    async (via, context) => {
      const lab = await openLab(context, { args: KEEPS_DATA })
      const { lock, locksmith } = await open(lab, { via })
      // A check every two seconds, and two more until it has gone unanswered.
      const waitMs = outage.silent ? 5_000 : 1_500
      const waiting = failure(locksmith.acquire(lab.name, { waitMs }))
      const settled = within(waitMs + 250, waiting)
      await lab.diary.seen('waiting')
      await outage.begin(lab)
      const error = await settled
      expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
      expect(error.cause).toBeInstanceOf(Error)
      await outage.end(lab)
      await lab.waitersAre(0)
      expect(await lab.holders()).toHaveLength(1)
      expect(await lock.release()).toEqual({ released: true })
    },
  )
}

test.concurrent.for(VIAS)('busy and reachable, %s: a timeout', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith } = await open(lab, { via })
  const error = await within(750, failure(locksmith.acquire(lab.name, { waitMs: 500 })))
  expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', key: lab.name })
  expect(await locksmith.tryAcquire(lab.name)).toBeNull()
})

test.concurrent('away in between, then reachable and still busy: a timeout', async (context) => {
  const lab = await openLab(context)
  const { locksmith } = await open(lab)
  const waiting = failure(locksmith.acquire(lab.name, { waitMs: 3_000 }))
  await lab.diary.seen('waiting')
  const askedAgain = lab.proxy.onCommand(carries('A', lab.name), 'pass')
  await CUT.begin(lab)
  await lab.inboxesAre(1)
  await CUT.end(lab)
  await askedAgain.hit()
  expect(await waiting).toMatchObject({ code: 'LOCK_TIMEOUT' })
})
