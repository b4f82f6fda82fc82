import { expect, test } from 'vitest'
import { carries, failure, type Lab, useLabs, VIAS, type Via, within } from './lab.js'

/** C1, C2, C8: the server carries a request out, and its reply is lost with the connection. */

const openLab = useLabs()

async function open(lab: Lab, via: Via) {
  const [locksmith, other] = [await lab.locksmith({ via }), await lab.locksmith({ direct: true })]
  await lab.warmUp(locksmith, other)
  return { locksmith, other }
}

test.concurrent.for(VIAS)('%s: of a grant: the claim finds it, and nothing holds the lock after its release', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other } = await open(lab, via)
  const lost = lab.proxy.dropReplies(carries('A', lab.name))
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
  lab.proxy.dropReplies(carries('A', lab.name), { by: 'hole' })
  const lock = await locksmith.acquire(lab.name, { waitMs: 10_000 })
  expect(lock.fencingToken).toBe(Number((await lab.state()).token))
  expect(await lab.holders()).toHaveLength(1)
  expect(await lock.release()).toEqual({ released: true })
})

test.concurrent.for(VIAS)('%s: of a grant to a single attempt: told as unavailable, or found, and never kept', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other } = await open(lab, via)
  lab.proxy.dropReplies(carries('A', lab.name))
  expect(await failure(locksmith.tryAcquire(lab.name))).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  // Long before the end of the lease of 30 s.
  const lock = await other.acquire(lab.name, { waitMs: 10_000 })
  expect(await lab.holders()).toHaveLength(1)
  await lock.release()
})

test.concurrent.for(VIAS)('%s: of a place in the queue: the claim has that one and no second', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other } = await open(lab, via)
  const held = await other.acquire(lab.name)
  const lost = lab.proxy.dropReplies(carries('A', lab.name))
  const waiting = locksmith.acquire(lab.name)
  await lost.hit()
  const behind = other.acquire(lab.name)
  await lab.diary.seen('waiting', 2)
  const ids = await lab.waiters()
  expect(ids).toHaveLength(2)
  await lab.inboxesAre(2)
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
  const lost = lab.proxy.dropReplies(carries('L', lab.name))
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
  lab.proxy.dropReplies(carries('L', lab.name))
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
  const lock = await locksmith.acquire(lab.name, { ttlMs: 2_000 })
  const { signal } = lock
  lab.proxy.dropReplies(carries('R', lab.name))
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
    const unheard = lab.proxy.onCommand(carries('L', lab.name), 'cut before', { times: 1 })
    const unanswered = lab.proxy.dropReplies(carries('L', lab.name))
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
