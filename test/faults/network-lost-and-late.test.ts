import { expect, test } from 'vitest'
import type { CommandRule } from '../support/proxy.js'
import { failure, type Lab, useLabs, VIAS, type Via, within } from './lab.js'

/** C1, C2, C8: a request is carried out and its reply is lost with the connection, or it arrives when nobody wants it any more. */

const openLab = useLabs()

async function open(lab: Lab, via: Via) {
  const [locksmith, other] = [await lab.locksmith({ via }), await lab.locksmith({ direct: true })]
  await lab.warmUp(locksmith, other)
  return { locksmith, other }
}

test.concurrent.for(VIAS)('%s: of a grant: the claim finds it, and nothing holds the lock after its release', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other } = await open(lab, via)
  const lost = lab.proxy.dropReplies(lab.carries('A'))
  const lock = await locksmith.acquire(lab.name)
  expect(lost.hits).toBe(1)
  const { token } = await lab.state()
  expect(lock.fencingToken).toBe(Number(token))
  expect(await lab.holders()).toHaveLength(1)
  expect(await other.tryAcquire(lab.name)).toBeNull()
  expect(await lock.release()).toEqual({ released: true })
  expect(lab.diary.all('granted')).toHaveLength(1)
  expect(lab.diary.all('lost')).toEqual([])
  expect(await lab.holders()).toEqual([])
})

test.concurrent('of a grant, in silence: the claim finds it over a new connection', async (context) => {
  const lab = await openLab(context)
  const { locksmith } = await open(lab, 'our own connection')
  lab.proxy.dropReplies(lab.carries('A'), { by: 'hole' })
  const lock = await locksmith.acquire(lab.name, { waitMs: 10_000 })
  expect(lock.fencingToken).toBe(Number((await lab.state()).token))
  expect(await lab.holders()).toHaveLength(1)
  expect(await lock.release()).toEqual({ released: true })
})

test.concurrent.for(VIAS)('%s: of a grant to a single attempt: told as unavailable, or found, and never kept', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other } = await open(lab, via)
  lab.proxy.dropReplies(lab.carries('A'))
  expect(await failure(locksmith.tryAcquire(lab.name))).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  // Long before the end of the lease of 30 s.
  const lock = await other.acquire(lab.name, { waitMs: 10_000 })
  expect(await lab.holders()).toHaveLength(1)
  await lock.release()
})

test.concurrent.for(VIAS)('%s: of a place in the queue: the claim has that one and no second', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other } = await open(lab, via)
  // Not of the holder's process, which would hand it the lock.
  const third = await lab.locksmith({ direct: true })
  await lab.warmUp(third)
  const held = await other.acquire(lab.name)
  const lost = lab.proxy.dropReplies(lab.carries('A'))
  const waiting = locksmith.acquire(lab.name)
  await lost.hit()
  const behind = third.acquire(lab.name)
  await lab.diary.seen('waiting', 2)
  const ids = await lab.waiters()
  expect(ids).toHaveLength(2)
  await lab.inboxesAre(3)
  expect(await held.release()).toEqual({ released: true })
  const lock = await waiting
  expect(await lab.holders()).toEqual([ids[0]])
  expect(await lock.release()).toEqual({ released: true })
  await (await behind).release()
  expect(lab.diary.all('granted').map(({ message }) => message.id)).toEqual([expect.any(String), ...ids])
})

test.concurrent.for(VIAS)('%s: of a release: reported as released', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith } = await open(lab, via)
  const lock = await locksmith.acquire(lab.name)
  const lost = lab.proxy.dropReplies(lab.carries('L'))
  expect(await lock.release()).toEqual({ released: true })
  expect(lost.hits).toBe(1)
  expect(lock.state).toBe('released')
  expect(lock.signal.aborted).toBe(false)
  expect(await lock.release()).toEqual({ released: false, reason: 'already released' })
})

test.concurrent.for(VIAS)('%s: of a release, for which others wait: reported as released, and only one enters', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other } = await open(lab, via)
  const lock = await locksmith.acquire(lab.name)
  const waiting = [other.acquire(lab.name), other.acquire(lab.name)] as const
  await lab.diary.seen('waiting', 2)
  lab.proxy.dropReplies(lab.carries('L'))
  expect(await lock.release()).toEqual({ released: true })
  const next = await waiting[0]
  expect(await lab.holders()).toHaveLength(1)
  expect(await lab.waiters()).toHaveLength(1)
  await next.release()
  await (await waiting[1]).release()
})

test.concurrent.for(VIAS)('%s: of a renewal: unknown until the next one', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith } = await open(lab, via)
  const lock = await locksmith.acquire(lab.name, { ttlMs: 6_000 })
  const { signal } = lock
  lab.proxy.dropReplies(lab.carries('R'))
  const { message } = await lab.diary.seen('unknown')
  expect(message.error).toBeInstanceOf(Error)
  await lab.diary.seen('held')
  expect(lock.state).toBe('held')
  expect(signal.aborted).toBe(false)
  expect(await lock.release()).toEqual({ released: true })
  expect(lab.diary.kinds).toEqual(['granted', 'unknown', 'held', 'released'])
})

test.concurrent.for(VIAS)(
  '%s: of a withdrawal, with the request lost once and the reply once: the place is given up',
  async (via, context) => {
    const lab = await openLab(context)
    const { locksmith, other } = await open(lab, via)
    const held = await other.acquire(lab.name)
    const aborting = new AbortController()
    const waiting = failure(locksmith.acquire(lab.name, { signal: aborting.signal }))
    await lab.diary.seen('waiting')
    const unheard = lab.proxy.onCommand(lab.carries('L'), 'cut before', { times: 1 })
    const unanswered = lab.proxy.dropReplies(lab.carries('L'))
    aborting.abort(new Error('not any more'))
    expect(await within(50, waiting)).toBe(aborting.signal.reason)
    await unheard.hit()
    expect(await lab.waiters()).toHaveLength(1)
    await unanswered.hit()
    await lab.waitersAre(0)
    await held.release()
    expect(await lab.holders()).toEqual([])
  },
)

const WITHDRAWN = ['4']

/** The request that the network lost at first reaches the server now; resolves to the reply, which nobody gets. */
async function arrivesLate(lab: Lab, lost: CommandRule): Promise<string[]> {
  const { name, args } = await lost.hit()
  const [time, ...replies] = String(await lab.redis.command(name, ...args)).split('\n')
  expect(time).toMatch(/^\d{16}$/)
  return replies
}

const loseRequest = (lab: Lab): CommandRule => lab.proxy.onCommand(lab.carries('A'), 'cut before', { times: 1 })

/** The server has been told that the claim is not wanted any more. */
const withdrawn = (lab: Lab) => lab.eventually(async () => expect(await lab.state()).toHaveProperty('gone'))

test.concurrent('through the old connection: refused, as the claim was withdrawn through the new one', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith()
  await lab.warmUp(locksmith)
  const arrived = lab.proxy.onCommand(lab.carries('A'), 'hole before', { times: 1 })
  const timedOut = failure(locksmith.acquire(lab.name, { waitMs: 500 }))
  await arrived.hit()
  expect(await timedOut).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  // Two requests that nobody answers for two seconds each, and a new connection is made.
  await withdrawn(lab)
  expect(lab.proxy.links.size).toBe(2)
  const before = await lab.state()
  lab.proxy.heal('late')
  // The old connection ends when the server has read what came by it.
  await lab.eventually(async () => expect(lab.proxy.links.size).toBe(1))
  expect(await lab.state()).toEqual(before)
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
    const loseAndRefuse = () => {
      lab.proxy.refuse()
      return 'cut before' as const
    }
    const lost = lab.proxy.onCommand(lab.carries('A'), loseAndRefuse, { times: 1 })
    const aborting = new AbortController()
    const error = failure(locksmith.acquire(lab.name, { ...patience, signal: aborting.signal }))
    await lost.hit()
    if (code === 'ABORTED') aborting.abort(Object.assign(new Error(), { code }))
    expect(await error).toMatchObject({ code })
    await lab.proxy.accept()
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
  expect(await arrivesLate(lab, lost)).toEqual([`1 ${lock.fencingToken} 30000 0`])
  expect(await lab.holders()).toHaveLength(1)
  expect(await lock.release()).toEqual({ released: true })
})

test.concurrent('renewals and releases of an earlier holder change nothing for a later one', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith({ ttlMs: 1_000 })
  const renewal = lab.proxy.onCommand(lab.carries('R'), 'pass', { times: 1 })
  const release = lab.proxy.onCommand(lab.carries('L'), 'pass', { times: 1 })
  const first = await locksmith.acquire(lab.name)
  await renewal.hit()
  await first.release()
  const second = await locksmith.acquire(lab.name, { ttlMs: 30_000 })
  const before = await lab.state()
  expect(await arrivesLate(lab, renewal)).toEqual(['0'])
  expect(await arrivesLate(lab, release)).toEqual(['0'])
  expect(await lab.state()).toEqual(before)
  expect(await second.release()).toEqual({ released: true })
})
