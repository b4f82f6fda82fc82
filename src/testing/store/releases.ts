/** Letting go: once, twice, for somebody else, later, and of what was never answered. */

import assert from 'node:assert/strict'
import { counted, type Lab, LONG_MS, READER, type StoreCase } from './lab.js'

/** Nothing that this id can do changes who holds and who waits. */
async function assertPowerless(lab: Lab, name: string, id: string): Promise<void> {
  const state = async () => {
    const { held, pending } = await lab.peer.query({ name })
    return [held.map((one) => [one.id, one.fencingToken]), pending.map((one) => one.id)]
  }
  const before = await state()
  for (const options of [undefined, { keepMs: 50 }, {}]) {
    assert.deepEqual(await lab.store.release(name, id, options), { status: 'absent' })
    assert.deepEqual(await lab.peer.release(name, id, options), { status: 'absent' })
  }
  assert.deepEqual(await state(), before)
}

export const releaseCases: StoreCase[] = [
  {
    name: 'whoever holds nothing releases nothing: a stranger, a waiter, an id that only begins alike',
    async run(lab) {
      const session = await lab.session()
      const holder = await session.take('wrong')
      const waiter = await session.wait('wrong')
      for (const id of ['stranger.1', waiter.id, `${holder.id}0`, `${session.name}.0`]) await assertPowerless(lab, 'wrong', id)
      assert.equal((await lab.store.renew('wrong', holder.id, LONG_MS)).status, 'held')
    },
  },
  {
    name: 'released twice: absent the second time, and no harm to the next holder',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('twice')
      const next = await session.wait('twice')
      assert.deepEqual(await lab.store.release('twice', first.id), { status: 'released' })
      await session.enters(next)
      await assertPowerless(lab, 'twice', first.id)
      await lab.assertTaken('twice')
    },
  },
  {
    name: 'released twice at once: one of them did it',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const claims = [
        await session.take('both', counted(1, 3)),
        await session.take('both', counted(1, 3)),
        await session.take('both', counted(1, 3)),
      ]
      const first = claims[0]!.id
      const replies = await Promise.all([
        lab.store.release('both', first),
        lab.peer.release('both', first),
        lab.store.release('both', first),
      ])
      assert.deepEqual(replies.map((reply) => reply.status).sort(), ['absent', 'absent', 'released'])
      await session.take('both', counted(1, 3))
      assert.equal((await session.ask('both', { ...counted(1, 3), queue: false })).reply.status, 'busy', 'one permit was freed')
    },
  },
  {
    name: 'whoever has released has nothing to renew',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('done')
      await lab.store.release('done', id)
      assert.equal((await lab.store.renew('done', id, LONG_MS)).status, 'lost')
      await lab.assertFree('done')
    },
  },
  {
    name: 'an unused name: nothing to release, nothing to renew, nothing left behind',
    async run(lab) {
      assert.deepEqual(await lab.store.release('unused', 'nobody.1'), { status: 'absent' })
      assert.deepEqual(await lab.store.renew('unused', 'nobody.1', LONG_MS), { status: 'lost' })
      assert.equal(await lab.store.forceRelease('unused'), 0)
      await lab.assertFree('unused')
    },
  },
  {
    name: 'a kept name stays taken for that long, then lets go by itself',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('kept')
      const beforeMs = lab.now()
      assert.deepEqual(await lab.store.release('kept', id, { keepMs: 1_000 }), { status: 'released' })
      await lab.assertTaken('kept')
      await lab.assertTakenUntil('kept', beforeMs + 1_000)
      assert.ok(lab.now() < beforeMs + 10_000, 'not until the end of the lease')
    },
  },
  {
    name: 'a kept name is taken for longer than its lease would have lasted, if need be',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('kept', { ttlMs: 60 })
      const beforeMs = lab.now()
      await lab.store.release('kept', id, { keepMs: 250 })
      await lab.assertTakenUntil('kept', beforeMs + 250)
    },
  },
  {
    name: 'a name is kept from those who wait as well, and goes to them afterwards',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('kept')
      const next = await session.wait('kept')
      const beforeMs = lab.now()
      await lab.store.release('kept', id, { keepMs: 100 })
      assert.ok((await session.again(next)).status === 'waiting')
      await session.granting(next)
      assert.ok(lab.now() >= beforeMs + 100, 'not before')
    },
  },
  {
    name: 'kept permits are those of the one who released, and the others go on',
    async run(lab) {
      const session = await lab.session()
      const long = await session.take('kept', READER)
      const short = await session.take('kept', READER)
      await lab.store.release('kept', short.id, { keepMs: 60 })
      await lab.until('the end of the kept one', async () => (await lab.held('kept')).length === 1)
      assert.equal((await lab.store.renew('kept', long.id, LONG_MS)).status, 'held')
      await lab.assertTaken('kept')
    },
  },
  {
    name: "a kept name is nobody's: it can be neither renewed nor released",
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('kept', { ttlMs: 60_000 })
      await lab.store.release('kept', id, { keepMs: 1_000 })
      assert.deepEqual(await lab.store.renew('kept', id, 60_000), { status: 'lost' })
      assert.deepEqual(await lab.store.release('kept', id), { status: 'absent' })
      await lab.assertTaken('kept')
      await lab.until('the end of the kept lease', async () => (await lab.held('kept')).length === 0)
      await lab.assertFree('kept')
    },
  },
  {
    name: 'a waiter that is withdrawn is out of the queue, and is not told later',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('abort')
      const gone = await session.wait('abort')
      const next = await session.wait('abort')
      assert.deepEqual(await lab.store.release('abort', gone.id, { withdraw: true }), { status: 'absent' })
      assert.deepEqual(
        (await lab.pending('abort')).map((one) => one.id),
        [next.id],
      )
      await lab.store.release('abort', id)
      await session.enters(next)
      assert.deepEqual(await session.heardOf([gone, next]), [next.id])
      await lab.store.release('abort', next.id)
      await lab.assertFree('abort')
    },
  },
  {
    name: 'a waiter that is withdrawn just as it was granted passes the grant on',
    async run(lab) {
      const session = await lab.session()
      for (const atOnce of [true, false]) {
        const { id } = await session.take('abort')
        const gone = await session.wait('abort')
        const next = await session.wait('abort')
        const released = lab.store.release('abort', id)
        if (!atOnce) await released
        const withdrawn = [lab.store.release('abort', gone.id, { withdraw: true }), lab.store.release('abort', gone.id, { withdraw: true })]
        await Promise.all([released, ...withdrawn])
        await session.enters(next)
        assert.deepEqual(
          (await lab.held('abort')).map((one) => one.id),
          [next.id],
        )
        await lab.store.release('abort', next.id)
        await lab.assertFree('abort')
      }
    },
  },
  {
    name: 'a holder that is withdrawn has released',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('abort')
      const next = await session.wait('abort')
      await lab.store.release('abort', first.id)
      await session.hears(next.id)
      assert.deepEqual(await lab.store.release('abort', next.id, { withdraw: true }), { status: 'released' })
      await lab.assertFree('abort')
    },
  },
  {
    name: 'a request that comes after its withdrawal is refused, and harms nobody',
    async run(lab) {
      const session = await lab.session()
      const late = session.request('late')
      assert.deepEqual(await lab.store.release('late', late.id, { withdraw: true }), { status: 'absent' })
      assert.deepEqual(await lab.store.release('late', late.id, { withdraw: true }), { status: 'absent' })
      await lab.assertFree('late')
      assert.deepEqual((await session.send(late)).reply, { status: 'withdrawn' })
      const { id } = await session.take('late')
      assert.deepEqual((await session.send({ ...late, queue: false })).reply, { status: 'withdrawn' })
      const next = await session.wait('late')
      await lab.store.release('late', id)
      await session.enters(next)
      await lab.store.release('late', next.id)
      assert.deepEqual((await session.send(late)).reply, { status: 'withdrawn' })
      assert.equal((await lab.store.renew('late', late.id, LONG_MS)).status, 'lost')
      await lab.assertFree('late')
    },
  },
  {
    name: 'a request that comes after its withdrawal is refused while the name is taken, too, and after a release by force',
    async run(lab) {
      const session = await lab.session()
      const holder = await session.take('late', { ttlMs: 60 })
      const late = session.request('late')
      await lab.store.release('late', late.id, { withdraw: true })
      assert.deepEqual((await session.send(late)).reply, { status: 'withdrawn' })
      const next = await lab.assertTakenUntil('late', holder.reply.validUntilMs)
      assert.equal(await lab.store.forceRelease('late'), 1)
      assert.equal((await lab.peer.renew('late', next.id, LONG_MS)).status, 'lost')
      assert.deepEqual((await session.send(late)).reply, { status: 'withdrawn' })
    },
  },
]
