import { expect, test } from 'vitest'
import { failure, type Lab, useLabs, VIAS, type Via, within } from './lab.js'

/** C7: nobody listens at the address when the locksmith is made. */

const openLab = useLabs()

async function beforeTheServer(lab: Lab, via: Via) {
  lab.proxy.refuse()
  return lab.locksmith({ via, waits: false })
}

test.concurrent.for(VIAS)('%s: one attempt tells the address and the cause', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await beforeTheServer(lab, via)
  const error = await within(2_250, failure(locksmith.tryAcquire(lab.name)))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  expect(error.message).toMatch(`ECONNREFUSED 127.0.0.1:${lab.proxy.port}`)
  expect((error.cause as Error).message).toMatch('ECONNREFUSED')
})

test.concurrent.for(VIAS)('%s: a wait that ends before it comes does so on time, and tells why', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await beforeTheServer(lab, via)
  const error = await within(950, failure(locksmith.acquire(lab.name, { waitMs: 700 })))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  expect(error.message).toMatch(`ECONNREFUSED 127.0.0.1:${lab.proxy.port}`)
})

test.concurrent.for(VIAS)('%s: who waits is granted when it comes, in order', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await beforeTheServer(lab, via)
  const order: number[] = []
  const waiting = [0, 1, 2].map((i) =>
    locksmith.using(lab.name, { waitMs: 15_000 }, async ({ fencingToken }) => {
      order.push(i)
      return fencingToken
    }),
  )
  // It has been refused at least once.
  await failure(locksmith.tryAcquire(`other ${lab.name}`))
  await lab.proxy.accept()
  const tokens = await Promise.all(waiting)
  expect(order).toEqual([0, 1, 2])
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
})

test.concurrent.for(VIAS)('%s: who gave up before is not granted when it comes', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await beforeTheServer(lab, via)
  const aborting = new AbortController()
  const aborted = failure(locksmith.acquire(lab.name, { signal: aborting.signal }))
  const late = failure(locksmith.acquire(lab.name, { waitMs: 300 }))
  const patient = locksmith.acquire(lab.name, { waitMs: 15_000 })
  const reason = new Error('not any more')
  aborting.abort(reason)
  expect(await aborted).toBe(reason)
  expect(await late).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  await lab.proxy.accept()
  const granted = await patient
  expect(await lab.holders()).toHaveLength(1)
  expect(await lab.waiters()).toEqual([])
  await granted.release()
})
