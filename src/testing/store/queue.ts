/** The order of grants: by priority, then by arrival, and nobody overtakes. */

import assert from 'node:assert/strict'
import { type Claimed, counted, type Heard, type Lab, type Overrides, READER, type Session, type StoreCase, type Waiting } from './lab.js'

/** Queues the claims behind a writer, frees them one after another, and checks that this is the order of grants. */
async function checkOrder(lab: Lab, claims: readonly Overrides[], order: readonly number[]): Promise<void> {
  const holder = await lab.session()
  let { id } = await holder.take('order')
  const waiters: { session: Session; claim: Claimed<Waiting> }[] = []
  for (const overrides of claims) {
    const session = await lab.session(waiters.length % 2 === 0 ? lab.store : lab.peer)
    waiters.push({ session, claim: await session.wait('order', overrides) })
  }
  const expected = order.map((i) => waiters[i]!.claim.id)
  assert.deepEqual(
    (await lab.pending('order')).map((one) => one.id),
    expected,
  )
  for (const i of order) {
    await lab.store.release('order', id)
    const { session, claim } = waiters[i]!
    await session.enters(claim)
    assert.deepEqual(
      (await lab.held('order')).map((one) => one.id),
      [claim.id],
    )
    id = claim.id
  }
  await lab.store.release('order', id)
  await lab.assertFree('order')
}

const writers = (...priorities: number[]): Overrides[] => priorities.map((priority) => ({ priority }))

export const queueCases: StoreCase[] = [
  {
    name: 'equal claims are granted in the order of their arrival',
    run: (lab) => checkOrder(lab, writers(0, 0, 0, 0, 0), [0, 1, 2, 3, 4]),
  },
  { name: 'a higher priority goes first, equal ones by arrival', run: (lab) => checkOrder(lab, writers(0, 2, -1, 2, 1), [1, 3, 4, 0, 2]) },
  {
    name: 'priorities are numbers, not texts',
    run: (lab) => checkOrder(lab, writers(9, 10, -9, -10, 1_000_000, -1_000_000), [4, 1, 0, 2, 3, 5]),
  },
  {
    name: 'a writer that waits stops readers that come later',
    async run(lab) {
      const session = await lab.session()
      const reader = await session.take('rw', READER)
      const writer = await session.wait('rw')
      const late = await session.wait('rw', READER)
      assert.equal((await session.ask('rw', { ...READER, queue: false })).reply.status, 'busy')
      await lab.store.release('rw', reader.id)
      await session.enters(writer)
      assert.deepEqual(await session.heardOf([writer, late]), [writer.id])
      await lab.store.release('rw', writer.id)
      await session.enters(late)
    },
  },
  {
    name: 'a reader that waits stops writers that come later',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('rw')
      const reader = await session.wait('rw', READER)
      const second = await session.wait('rw')
      await lab.store.release('rw', first.id)
      await session.enters(reader)
      assert.deepEqual(await session.heardOf([reader, second]), [reader.id])
      await lab.store.release('rw', reader.id)
      await session.enters(second)
    },
  },
  {
    name: 'a claim that does not fit yet blocks later ones that would',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const holder = await session.take('sem', counted(2, 3))
      const large = await session.wait('sem', counted(2, 3))
      const small = await session.wait('sem', counted(1, 3))
      assert.equal((await session.ask('sem', { ...counted(1, 3), queue: false })).reply.status, 'busy')
      for (const claim of [small, large, small]) assert.equal((await session.again(claim)).status, 'waiting')
      await lab.store.release('sem', holder.id)
      await session.enters(large)
      await session.enters(small)
      assert.deepEqual(await session.heardOf([large, small]), [large.id, small.id])
    },
  },
  {
    name: 'those behind a claim that leaves the queue are granted when they fit',
    needsLimits: true,
    async run(lab) {
      const [session, other] = [await lab.session(), await lab.session(lab.peer)]
      await session.take('sem', counted(2, 3))
      const large = await other.wait('sem', counted(2, 3))
      const small = await session.wait('sem', counted(1, 3))
      await lab.peer.release('sem', large.id, { withdraw: true })
      await session.enters(small)
    },
  },
  {
    name: 'a higher priority that fits is granted before one that waits',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      await session.take('sem', counted(2, 4))
      const large = await session.wait('sem', counted(3, 4))
      await session.take('sem', { ...counted(1, 4), priority: 1 })
      await session.take('sem', { ...counted(1, 4), priority: 1, queue: false })
      assert.deepEqual(
        (await lab.pending('sem')).map((one) => one.id),
        [large.id],
      )
    },
  },
  {
    name: 'a single attempt with a higher priority that does not fit stands in nobody’s way',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const holder = await session.take('sem', counted(1, 4))
      const large = await session.wait('sem', counted(4, 4))
      const { reply } = await session.ask('sem', { ...counted(4, 4), priority: 1, queue: false })
      assert.equal(reply.status, 'busy')
      assert.deepEqual(
        (await lab.pending('sem')).map((one) => one.id),
        [large.id],
      )
      await lab.store.release('sem', holder.id)
      await session.enters(large)
    },
  },
  {
    name: 'a release grants to as many as now fit, and to no more',
    async run(lab) {
      const session = await lab.session()
      const writer = await session.take('rw')
      const readers = [await session.wait('rw', READER), await session.wait('rw', READER), await session.wait('rw', READER)]
      const next = await session.wait('rw')
      const last = await session.wait('rw', READER)
      await lab.store.release('rw', writer.id)
      for (const reader of readers) await session.enters(reader)
      assert.deepEqual(
        await session.heardOf([...readers, next, last]),
        readers.map((reader) => reader.id),
      )
      for (const reader of readers) await lab.store.release('rw', reader.id)
      await session.enters(next)
    },
  },
  {
    name: 'a claim comes after those that waited when a lease ended, even if it asks first',
    async run(lab) {
      const [session, other] = [await lab.session(), await lab.session(lab.peer)]
      await session.take('ended', { ttlMs: 100 })
      const waiter = await session.wait('ended')
      let granted: Heard | undefined
      session.hears(waiter.id).then(
        (heard) => {
          granted = heard
        },
        () => undefined,
      )
      const heard = lab.until('the grant of the waiter', async () => {
        const { reply } = await other.ask('ended', { queue: false })
        assert.equal(reply.status, 'busy', 'the one that waited goes first')
        return granted
      })
      assert.equal((await heard).id, waiter.id)
    },
  },
  {
    name: 'a single attempt that comes when a lease has ended, and does not fit, lets those go on who wait',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      await session.take('ended', counted(2, 4))
      await session.take('ended', { ...counted(2, 4), ttlMs: 40 })
      const waiter = await session.wait('ended', counted(2, 4))
      await lab.pass(140)
      const { reply } = await session.ask('ended', { ...counted(3, 4), priority: 1, queue: false })
      assert.equal(reply.status, 'busy')
      await session.enters(waiter)
    },
  },
  {
    name: 'asking at the told end of the next lease moves the queue on',
    async run(lab) {
      for (const [first, second] of [
        [200, 100],
        [100, 200],
      ] as const) {
        const session = await lab.session()
        const name = `ended ${first}`
        await session.take(name, { ...READER, ttlMs: first })
        await session.take(name, { ...READER, ttlMs: second })
        const waiter = await session.wait(name)
        assert.ok(waiter.reply.nextEndMs < lab.now() + 150, 'the next is the first that ends')
        let reply = await session.again(waiter)
        for (let asked = 1; reply.status === 'waiting'; asked++) {
          assert.ok(asked < 5, 'a reply per lease, and little more')
          await lab.pass(Math.max(0, reply.nextEndMs - lab.now()))
          reply = await session.again(waiter)
        }
        assert.equal(reply.status, 'granted')
      }
    },
  },
]
