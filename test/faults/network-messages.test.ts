import { expect, test } from 'vitest'
import type { HeldLock } from '../../src/primitives/held-lock.js'
import { carries, type Lab, type LabLocksmithOptions, useLabs, VIAS } from './lab.js'

/** C5: what tells a waiter of its grant is lost, comes twice, in another order, or late. */

const openLab = useLabs()
/** The shorter the lease, the more often a waiter looks: twice per lease, in which a grant stands. */
const TTL_MS = 2_000

async function open(lab: Lab, options?: LabLocksmithOptions) {
  const [locksmith, other] = [await lab.locksmith({ ttlMs: TTL_MS, ...options }), await lab.locksmith({ direct: true })]
  await lab.warmUp(locksmith)
  return { locksmith, other, held: await other.acquire(lab.name) }
}

/** Has `count` claims wait, and resolves to the order in which they entered, one at a time, when all have left. */
async function goRound(lab: Lab, options: LabLocksmithOptions, count: number): Promise<number[]> {
  const { locksmith, held } = await open(lab, options)
  const entered: number[] = []
  const tokens = [held.fencingToken]
  let inside = 0
  const claims = Array.from({ length: count }, (_, i) =>
    locksmith.using(lab.name, async ({ fencingToken }) => {
      expect(++inside).toBe(1)
      entered.push(i)
      tokens.push(fencingToken)
      await lab.redis.command('PING')
      inside--
    }),
  )
  await lab.diary.seen('waiting', count)
  expect(await held.release()).toEqual({ released: true })
  await Promise.all(claims)
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
  expect(lab.diary.all('released').every(({ message }) => message.released)).toBe(true)
  return entered
}

test.concurrent.for(VIAS)('%s: all are lost: everybody enters in turn, a little later', async (via, context) => {
  const lab = await openLab(context)
  lab.proxy.dropPushes()
  expect(await goRound(lab, { via }, 3)).toEqual([0, 1, 2])
  expect(lab.proxy.pushes.dropped).toBe(3)
})

test.concurrent.for(VIAS)('%s: all come three times: everybody enters once', async (via, context) => {
  const lab = await openLab(context)
  lab.proxy.duplicatePushes(3)
  expect(await goRound(lab, { via }, 20)).toEqual(Array.from({ length: 20 }, (_, i) => i))
})

test.concurrent.for(VIAS)('%s: all are late, but not too late: everybody enters', async (via, context) => {
  const lab = await openLab(context)
  lab.proxy.delayPushes(100)
  expect(await goRound(lab, { via }, 5)).toEqual([0, 1, 2, 3, 4])
})

for (const order of ['kept', 'reversed'] as const) {
  test.concurrent.for(VIAS)(`%s: when they come after all, order ${order}, nothing changes`, async (via, context) => {
    const lab = await openLab(context)
    const { locksmith, held } = await open(lab, { via })
    lab.proxy.holdPushes()
    const claims = [0, 1].map(() => locksmith.acquire(lab.name))
    await lab.diary.seen('waiting', 2)
    await held.release()
    await (await claims[0])?.release()
    const last = (await claims[1]) as HeldLock
    const { signal } = last
    expect(lab.proxy.heldPushes).toBe(2)
    lab.proxy.releasePushes(order)
    // By the next renewals it has heard all of it.
    const renewed = lab.proxy.onCommand(carries('R', lab.name), 'pass')
    await renewed.hit(2)
    last.assertHeld()
    expect(signal.aborted).toBe(false)
    expect(await lab.holders()).toHaveLength(1)
    expect(await last.release()).toEqual({ released: true })
    expect(lab.diary.all('granted')).toHaveLength(3)
  })
}

test.concurrent.for(VIAS)('%s: a grant that comes when another holds the lock is not used', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other, held } = await open(lab, { via, ttlMs: 1_000 })
  let letThrough = (_: 'pass'): void => {}
  const asksPass = new Promise<'pass'>((resolve) => (letThrough = resolve))
  let entered = false
  const waiting = locksmith.acquire(lab.name).then((lock) => {
    entered = true
    return lock
  })
  await lab.diary.seen('waiting')
  lab.proxy.holdPushes()
  const asked = lab.proxy.onCommand(carries('A', lab.name), () => asksPass)
  await held.release()
  const { token } = await lab.state()
  // Its grant ends unseen, and somebody else enters.
  const between = await other.acquire(lab.name)
  expect(between.fencingToken).toBeGreaterThan(Number(token))
  expect(lab.proxy.heldPushes).toBe(1)
  lab.proxy.releasePushes()
  await asked.hit()
  letThrough('pass')
  await lab.waitersAre(1)
  expect(entered).toBe(false)
  expect(await lab.holders()).toHaveLength(1)
  expect(await between.release()).toEqual({ released: true })
  expect((await waiting).fencingToken).toBeGreaterThan(between.fencingToken)
})

test.concurrent('a grant that was under way for a while is shorter by that', async (context) => {
  const lab = await openLab(context)
  const { locksmith, held } = await open(lab, { ttlMs: 30_000 })
  const remaining = locksmith.acquire(lab.name).then(({ remainingMs }) => remainingMs)
  await lab.diary.seen('waiting')
  lab.proxy.delayPushes(700)
  await held.release()
  // It is pushed for five seconds at first.
  expect(await remaining).toBeLessThanOrEqual(5_000 - 700)
})

test.concurrent('a connection for messages that has gone silent', async (context) => {
  const lab = await openLab(context)
  const { locksmith, held } = await open(lab, { via: 'ioredis 6' })
  const waiting = locksmith.acquire(lab.name)
  await lab.diary.seen('waiting')
  lab.proxy.blackHole(({ subscribed }) => subscribed)
  await held.release()
  const lock = await waiting
  expect(lock.fencingToken).toBeGreaterThan(held.fencingToken)
  expect(await lock.release()).toEqual({ released: true })
})
