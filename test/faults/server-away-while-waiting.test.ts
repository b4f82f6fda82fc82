import { expect, test } from 'vitest'
import { failure, KEEPS_DATA, type Lab, type LabLocksmithOptions, useLabs, VIAS, type Via, within } from './lab.js'
import { BLACK_HOLE, CUT, KILLED, PAUSED } from './outages.js'

/** C3, C4, C7, S1: the server is away, from the start or while a claim waits. It waits on, and is granted when the server is there, or told. */

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
    const asked = lab.proxy.onCommand(lab.carries('A'), 'pass')
    await BLACK_HOLE.begin(lab)
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
      // Time for a check, of which there are two in a lease, and two seconds until it has gone unanswered.
      const waitMs = outage.silent ? 6_000 : 3_000
      const waiting = failure(locksmith.acquire(lab.name, { waitMs, ttlMs: 500 }))
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

test.concurrent.for(VIAS)(
  'a connection that is cut again and again, %s: each time that it is back the claim asks',
  async (via, context) => {
    const lab = await openLab(context)
    const { lock, locksmith } = await open(lab, { via })
    const waiting = locksmith.acquire(lab.name)
    await lab.diary.seen('waiting')
    const cutFourTimes = async () => {
      for (let times = 1; times <= 4; times++) {
        lab.proxy.cut()
        await lab.proxy.onCommand(lab.carries('A'), 'pass', { times: 1 }).hit()
        // It is answered before this is: a request that is lost would be made again in any case.
        await lab.eventually(() => locksmith.query({ name: lab.name }))
      }
    }
    // Without that it would ask every two seconds.
    await within(6_000, cutFourTimes())
    await lock.release()
    await (await waiting).release()
  },
)

test.concurrent.for(VIAS)('busy and reachable, %s: a timeout', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith } = await open(lab, { via })
  const error = await within(2_250, failure(locksmith.acquire(lab.name, { waitMs: 2_000 })))
  expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', key: lab.name })
  expect(await locksmith.tryAcquire(lab.name)).toBeNull()
})

test.concurrent('away in between, then reachable and still busy: a timeout', async (context) => {
  const lab = await openLab(context)
  const { locksmith } = await open(lab)
  const waiting = failure(locksmith.acquire(lab.name, { waitMs: 3_000 }))
  await lab.diary.seen('waiting')
  const askedAgain = lab.proxy.onCommand(lab.carries('A'), 'pass')
  await CUT.begin(lab)
  await lab.inboxesAre(1)
  await CUT.end(lab)
  await askedAgain.hit()
  expect(await waiting).toMatchObject({ code: 'LOCK_TIMEOUT' })
})

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

test.concurrent.for(VIAS)('%s: a wait that ends before it comes tells why', async (via, context) => {
  const lab = await openLab(context)
  const locksmith = await beforeTheServer(lab, via)
  // Five seconds are allowed for the first connection.
  const error = await within(5_250, failure(locksmith.acquire(lab.name, { waitMs: 700 })))
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
