import { expect, test } from 'vitest'
import { failure, type Lab, useLabs, VIAS, type Via, within } from './lab.js'

/** C3: nothing is answered and nothing refused. Whatever a caller waits for settles by the clock of this process. */

const openLab = useLabs()

/** How much later than it should a timer may be found to have fired. */
const LATE_MS = 250
const REQUEST_MS = 2_000

async function connected(lab: Lab, via: Via) {
  const locksmith = await lab.locksmith({ via })
  await lab.warmUp(locksmith)
  return locksmith
}

test.concurrent.for(VIAS)('%s: a claim ends with its wait', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await connected(lab, via)
  lab.proxy.blackHole()
  const error = await within(1_000 + LATE_MS, failure(locksmith.acquire(lab.name, { waitMs: 1_000 })))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  const once = await within(REQUEST_MS + LATE_MS, failure(locksmith.tryAcquire(lab.name)))
  expect(once).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
})

test.concurrent('so does the first of all claims, with five seconds allowed for connecting', async (context) => {
  const lab = await openLab(context)
  lab.proxy.blackHole()
  const locksmith = await lab.locksmith()
  const error = await within(5_000 + LATE_MS, failure(locksmith.acquire(lab.name, { waitMs: 1_000 })))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
})

test.concurrent.for(VIAS)('%s: a claim ends with its signal, at once, asked or queued', async (via, context) => {
  const lab = await openLab(context)
  const holder = await lab.locksmith({ direct: true })
  const lock = await holder.acquire(lab.name)
  const locksmith = await connected(lab, via)
  const aborting = new AbortController()
  const reason = new Error('not any more')
  const queued = failure(locksmith.acquire(lab.name, { signal: aborting.signal }))
  await lab.diary.seen('waiting')
  lab.proxy.blackHole()
  const asked = failure(locksmith.acquire(lab.name, { signal: aborting.signal }))
  aborting.abort(reason)
  expect(await within(50, Promise.all([queued, asked]))).toEqual([reason, reason])
  await lab.proxy.pass()
  await lab.waitersAre(0)
  expect(await lock.release()).toEqual({ released: true })
})

test.concurrent('what is asked about a held lock is answered in time', async (context) => {
  const lab = await openLab(context)
  const locksmith = await connected(lab, 'our own connection')
  const lock = await locksmith.acquire(lab.name, { ttlMs: 10_000 })
  lab.proxy.blackHole()
  const failures = await within(
    REQUEST_MS + LATE_MS,
    Promise.all([lock.extend(), locksmith.query(), locksmith.query({ name: lab.name }), locksmith.forceRelease(lab.name)].map(failure)),
  )
  for (const error of failures) expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  lock.assertHeld()
})

test.concurrent('a release answers that it does not know, no later than a request after the end of the lease', async (context) => {
  const lab = await openLab(context)
  const locksmith = await connected(lab, 'our own connection')
  const ttlMs = 2_000
  const lock = await locksmith.acquire(lab.name, { ttlMs })
  lab.proxy.blackHole()
  expect(await within(ttlMs + REQUEST_MS + LATE_MS, lock.release())).toEqual({ released: false, reason: 'lost' })
  expect(lock.state).toBe('lost')
})

test.concurrent.for(VIAS)('%s: closing ends, and rejects who waits at once', async (via, context) => {
  const lab = await openLab(context)
  const holder = await lab.locksmith({ direct: true })
  await holder.acquire(lab.name)
  const locksmith = await connected(lab, via)
  const mine = await locksmith.acquire(`mine ${lab.name}`, { ttlMs: 2_000 })
  const waiting = failure(locksmith.acquire(lab.name))
  await lab.diary.seen('waiting')
  lab.proxy.blackHole()
  // Two limits of two seconds, one after the other.
  const closing = within(6_000, locksmith.close())
  expect(await within(50, waiting)).toMatchObject({ code: 'LOCK_CLOSED' })
  await closing
  expect(mine.state).not.toBe('held')
})
