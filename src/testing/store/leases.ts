/** How long a claim is held: at least as long as its holder is told, renewed on demand, and never brought back. */

import assert from 'node:assert/strict'
import { type Lab, LONG_MS, READER, type StoreCase } from './lab.js'

async function renew(lab: Lab, name: string, id: string, ttlMs: number): Promise<number> {
  const reply = await lab.store.renew(name, id, ttlMs)
  assert.equal(reply.status, 'held')
  return reply.status === 'held' ? reply.validUntilMs : Number.NaN
}

export const leaseCases: StoreCase[] = [
  {
    name: 'nobody else gets in before the end that the holder was told',
    async run(lab) {
      const session = await lab.session()
      for (let i = 0; i < 4; i++) {
        const { reply } = await session.take('told', { ttlMs: 60 })
        const next = await lab.assertTakenUntil('told', reply.validUntilMs)
        await lab.peer.release('told', next.id)
      }
    },
  },
  {
    name: 'a lease that is not renewed ends, not long after its time',
    async run(lab) {
      const session = await lab.session()
      const startMs = lab.now()
      const { id, reply } = await session.take('ends', { ttlMs: 100 })
      assert.ok(reply.validUntilMs >= startMs + 90, 'it is as long as was asked for, but for the way there')
      await lab.assertTakenUntil('ends', reply.validUntilMs)
      assert.ok(lab.now() <= startMs + 2_000, 'the server lets go in time')
      assert.equal((await lab.store.renew('ends', id, LONG_MS)).status, 'lost')
    },
  },
  {
    name: 'a renewal makes the lease last that long from now',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('renewed', { ttlMs: 120 })
      await lab.pass(40)
      const validUntilMs = await renew(lab, 'renewed', id, 200)
      assert.ok(validUntilMs >= lab.now() + 100 && validUntilMs <= lab.now() + 200, 'counted from before the renewal was sent')
      await lab.assertTakenUntil('renewed', validUntilMs)
    },
  },
  {
    name: 'a renewal never shortens a lease',
    async run(lab) {
      const session = await lab.session()
      const { id, reply } = await session.take('longer', { ttlMs: 250 })
      await renew(lab, 'longer', id, 1)
      await lab.assertTakenUntil('longer', reply.validUntilMs)
    },
  },
  {
    name: 'a request that is sent again for less never shortens a lease',
    async run(lab) {
      const session = await lab.session()
      const { request, reply } = await session.take('longer', { ttlMs: 250 })
      assert.equal((await session.send({ ...request, ttlMs: 1 })).reply.status, 'granted')
      await lab.assertTakenUntil('longer', reply.validUntilMs)
    },
  },
  {
    name: 'a short lease beside a long one does not shorten it, whichever came first',
    async run(lab) {
      const session = await lab.session()
      for (const [first, second] of [
        [60, 220],
        [220, 60],
      ] as const) {
        const claims = [
          await session.take('beside', { ...READER, ttlMs: first }),
          await session.take('beside', { ...READER, ttlMs: second }),
        ]
        const validUntilMs = Math.max(...claims.map((claim) => claim.reply.validUntilMs))
        const next = await lab.assertTakenUntil('beside', validUntilMs)
        await lab.peer.release('beside', next.id)
      }
    },
  },
  {
    name: 'a short lease that is renewed or released leaves a long one beside it alone',
    async run(lab) {
      const session = await lab.session()
      const long = await session.take('beside', { ...READER, ttlMs: 260 })
      const short = await session.take('beside', { ...READER, ttlMs: 100 })
      await renew(lab, 'beside', short.id, 50)
      await lab.store.release('beside', short.id)
      const other = await session.take('beside', { ...READER, ttlMs: 40 })
      await lab.until('the end of the short one', async () => (await lab.held('beside')).every((one) => one.id !== other.id))
      await lab.assertTakenUntil('beside', long.reply.validUntilMs)
    },
  },
  {
    name: 'the end of one lease frees its permits and no others',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const claim = { mode: 'counted', permits: 2, limit: 4 } as const
      const long = await session.take('permits', claim)
      await session.take('permits', { ...claim, ttlMs: 60 })
      // A renewal beside it puts that end off no more than a lease beside it does.
      await renew(lab, 'permits', long.id, 2 * LONG_MS)
      const third = await session.wait('permits', claim)
      await session.granting(third)
      assert.equal((await session.ask('permits', { ...claim, permits: 1, queue: false })).reply.status, 'busy')
      assert.equal((await lab.store.renew('permits', long.id, LONG_MS)).status, 'held')
    },
  },
  {
    name: 'after the end of a lease its holder may neither renew nor release what another holds now',
    async run(lab) {
      const session = await lab.session()
      const stale = await session.take('stale', { ttlMs: 60 })
      const next = await lab.assertTakenUntil('stale', stale.reply.validUntilMs)
      assert.equal((await lab.store.renew('stale', stale.id, LONG_MS)).status, 'lost')
      assert.equal((await lab.store.release('stale', stale.id)).status, 'absent')
      assert.equal((await lab.store.release('stale', stale.id, { withdraw: true })).status, 'absent')
      assert.equal((await lab.store.release('stale', stale.id, { keepMs: 1_000 })).status, 'absent')
      await lab.assertTaken('stale')
      assert.deepEqual(
        (await lab.held('stale')).map((one) => one.id),
        [next.id],
      )
      assert.equal((await lab.peer.renew('stale', next.id, LONG_MS)).status, 'held')
    },
  },
  {
    name: 'a release after the end of the lease finds nothing to release, and says so',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('late', { ttlMs: 40 })
      await lab.pass(140)
      assert.deepEqual(await lab.store.release('late', id), { status: 'absent' })
      await lab.assertFree('late')
    },
  },
  {
    name: 'a renewal of what is lost says so and brings nothing back',
    async run(lab) {
      const session = await lab.session()
      const { id, reply } = await session.take('lost', { ttlMs: 60 })
      await lab.pass(reply.validUntilMs - lab.now() + 20)
      // 1 ms asks and adds nothing: a grant that took long to be told ends later than its holder counts with.
      await lab.until('the loss', async () => (await lab.store.renew('lost', id, 1)).status === 'lost' || undefined)
      assert.equal((await lab.store.renew('lost', id, LONG_MS)).status, 'lost')
      await lab.assertFree('lost')
      const other = await session.take('lost')
      await lab.store.release('lost', other.id)
      for (const gone of [id, other.id, 'nobody.1']) assert.equal((await lab.store.renew('lost', gone, LONG_MS)).status, 'lost')
      await lab.assertFree('lost')
    },
  },
  {
    name: 'a waiter has nothing to renew, and keeps its place when it tries',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('waiter')
      const waiter = await session.wait('waiter')
      assert.equal((await lab.store.renew('waiter', waiter.id, LONG_MS)).status, 'lost')
      assert.deepEqual(
        (await lab.pending('waiter')).map((one) => one.id),
        [waiter.id],
      )
      await lab.store.release('waiter', id)
      await session.enters(waiter)
    },
  },
]
