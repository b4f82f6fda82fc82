import { expect, test } from 'vitest'
import type { CommandRule } from '../support/proxy.js'
import { carries, failure, type Lab, useLabs, VIAS } from './lab.js'

/** C1, C8: a request reaches the server long after it was sent, when nobody wants any more what it asks for. */

const openLab = useLabs()

const WITHDRAWN = [expect.any(Number), [4]]

/** The request that the network lost at first reaches the server now; resolves to the reply, which nobody gets. */
async function arrivesLate(lab: Lab, lost: CommandRule): Promise<unknown> {
  const { name, args } = await lost.hit()
  return lab.redis.command(name, ...args)
}

const loseRequest = (lab: Lab): CommandRule => lab.proxy.onCommand(carries('A', lab.name), 'cut before', { times: 1 })

/** The server has been told that the claim is not wanted any more. */
const withdrawn = (lab: Lab) => lab.eventually(async () => expect(await lab.state()).toHaveProperty('gone'))

test.concurrent('through the old connection: refused, as the claim was withdrawn through the new one', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith()
  await lab.warmUp(locksmith)
  const arrived = lab.proxy.onCommand(carries('A', lab.name), 'hole before', { times: 1 })
  const timedOut = failure(locksmith.acquire(lab.name, { waitMs: 500 }))
  await arrived.hit()
  expect(await timedOut).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  // Two requests that nobody answers for two seconds each, and a new connection is made.
  await withdrawn(lab)
  expect(lab.proxy.links.size).toBe(2)
  const { calls } = await lab.redis.countCommands(async () => {
    lab.proxy.heal('late')
    await lab.eventually(async () => expect(lab.proxy.links.size).toBe(1))
  })
  // It came, and nothing was written for it.
  expect(calls).toMatchObject({ evalsha: expect.any(Number) })
  expect(calls.hset).toBeUndefined()
  expect(await lab.holders()).toEqual([])
  expect(await lab.waiters()).toEqual([])
})

for (const [what, patience, code] of [
  ['aborted', { waitMs: 60_000 }, 'ABORTED'],
  ['timed out', { waitMs: 50 }, 'LOCK_UNAVAILABLE'],
  ['a single attempt', { waitMs: 0 }, 'LOCK_UNAVAILABLE'],
] as const) {
  test.concurrent(`of a claim that was ${what}: refused`, async (context) => {
    const lab = await openLab(context)
    const locksmith = await lab.locksmith()
    await lab.warmUp(locksmith)
    const lost = loseRequest(lab)
    const aborting = new AbortController()
    const error = failure(locksmith.acquire(lab.name, { ...patience, signal: aborting.signal }))
    await lost.hit()
    if (code === 'ABORTED') aborting.abort(Object.assign(new Error(), { code }))
    expect(await error).toMatchObject({ code })
    await withdrawn(lab)
    expect(await arrivesLate(lab, lost)).toEqual(WITHDRAWN)
    expect(await lab.holders()).toEqual([])
    const { token } = await lab.state()
    expect(token).toBeUndefined()
  })
}

test.concurrent.for(VIAS)('%s: of a claim that was asked for again, waited, and was aborted: refused', async (via, context) => {
  const lab = await openLab(context)
  const [locksmith, other] = [await lab.locksmith({ via }), await lab.locksmith({ direct: true })]
  await lab.warmUp(locksmith)
  const held = await other.acquire(lab.name)
  const lost = loseRequest(lab)
  const aborting = new AbortController()
  const error = failure(locksmith.acquire(lab.name, { signal: aborting.signal }))
  await lab.diary.seen('waiting')
  aborting.abort(new Error('not any more'))
  expect(await error).toBe(aborting.signal.reason)
  await lab.waitersAre(0)
  await held.release()
  await withdrawn(lab)
  expect(await arrivesLate(lab, lost)).toEqual(WITHDRAWN)
  expect(await lab.holders()).toEqual([])
})

test.concurrent.for(VIAS)('%s: of a claim that was asked for again, granted and released: refused', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith({ via })
  await lab.warmUp(locksmith)
  const lost = loseRequest(lab)
  const lock = await locksmith.acquire(lab.name)
  expect(await lock.release()).toEqual({ released: true })
  await withdrawn(lab)
  expect(await arrivesLate(lab, lost)).toEqual(WITHDRAWN)
  expect(await lab.holders()).toEqual([])
})

test.concurrent('while the lock is held: the same lock, with the same token', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith()
  await lab.warmUp(locksmith)
  const lost = loseRequest(lab)
  const lock = await locksmith.acquire(lab.name)
  expect(await arrivesLate(lab, lost)).toEqual([expect.any(Number), [1, String(lock.fencingToken), 30_000]])
  expect(await lab.holders()).toHaveLength(1)
  expect(await lock.release()).toEqual({ released: true })
})

test.concurrent('renewals and releases of an earlier holder change nothing for a later one', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith({ ttlMs: 1_000 })
  const renewal = lab.proxy.onCommand(carries('R', lab.name), 'pass', { times: 1 })
  const release = lab.proxy.onCommand(carries('L', lab.name), 'pass', { times: 1 })
  const first = await locksmith.acquire(lab.name)
  await renewal.hit()
  await first.release()
  const second = await locksmith.acquire(lab.name, { ttlMs: 30_000 })
  const before = await lab.state()
  expect(await arrivesLate(lab, renewal)).toEqual([expect.any(Number), [0]])
  expect(await arrivesLate(lab, release)).toEqual([expect.any(Number), [0]])
  expect(await lab.state()).toEqual(before)
  expect(await second.release()).toEqual({ released: true })
})
