import { expect, test } from 'vitest'
import { type Entry, failure, KEEPS_DATA, useLabs, VIAS } from './lab.js'
import { HARMLESS, RESTART_WITHOUT } from './outages.js'

/** S1, S2, C4: the server forgets everything, or its scripts, or closes connections, while a lock is free or held. */

const openLab = useLabs()

for (const { what, happens } of [...HARMLESS, RESTART_WITHOUT]) {
  test.concurrent.for(VIAS)(`${what}, %s, while the lock is free: nothing is seen of it, and tokens grow`, async (via, context) => {
    const lab = await openLab(context, { args: KEEPS_DATA })
    const locksmith = await lab.locksmith({ via })
    const tokens: number[] = []
    for (const before of [async () => {}, happens]) {
      await before(lab)
      const lock = await locksmith.acquire(lab.name, { waitMs: 15_000 })
      tokens.push(lock.fencingToken)
      expect(await lock.release()).toEqual({ released: true })
    }
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
  })
}

for (const { what, happens } of HARMLESS) {
  test.concurrent.for(VIAS)(`${what}, %s, while the lock is held: it stays so`, async (via, context) => {
    const lab = await openLab(context, { args: KEEPS_DATA })
    const locksmith = await lab.locksmith({ via, ttlMs: 8_000 })
    const lock = await locksmith.acquire(lab.name)
    const { signal } = lock
    const before = await lab.state()
    await happens(lab)
    // A renewal after it is what shows that it stands.
    await lab.eventually(async () => expect(Number((await lab.state()).ends)).toBeGreaterThan(Number(before.ends)))
    lock.assertHeld()
    expect(signal.aborted).toBe(false)
    expect(await lock.release()).toEqual({ released: true })
  })
}

test.concurrent.for(VIAS)('a restart without its data, %s, while the lock is held: lost, by the next renewal', async (via, context) => {
  const lab = await openLab(context, {})
  const ttlMs = 6_000
  const locksmith = await lab.locksmith({ via, ttlMs })
  const lock = await locksmith.acquire(lab.name)
  const { signal } = lock
  const deadlineMs = performance.now() + ttlMs
  await RESTART_WITHOUT.happens(lab)
  const lost: Entry = await lab.diary.seen('lost')
  expect(lost.atMs).toBeLessThan(deadlineMs)
  expect(signal.reason).toMatchObject({ code: 'LOCK_LOST', key: lab.name })
  expect(await lab.redis.keys()).toEqual([])
  expect(await failure(lock.extend())).toBe(signal.reason)
  expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
  expect(await lab.redis.keys()).toEqual([])
  const next = await locksmith.acquire(lab.name)
  expect(next.fencingToken).toBeGreaterThan(lock.fencingToken)
})
