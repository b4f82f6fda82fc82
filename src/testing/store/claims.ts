/** What is granted beside what, and what a conflict is. */

import assert from 'node:assert/strict'
import { StoreFailure } from '../../memory.js'
import { counted, type Lab, LONG_MS, type Overrides, READER, type StoreCase } from './lab.js'

/** Whether the second claim fits while the first is held. */
async function checkPair(lab: Lab, first: Overrides, second: Overrides, fits: boolean): Promise<void> {
  const holder = await lab.session()
  const other = await lab.session(lab.peer)
  const { id } = await holder.take('pair', first)
  const attempt = await other.ask('pair', { ...second, queue: false })
  assert.equal(attempt.reply.status, fits ? 'granted' : 'busy')
  const queued = await other.ask('pair', second)
  assert.equal(queued.reply.status, fits && second.limit === 0 ? 'granted' : 'waiting')
  for (const session of [attempt.id, queued.id]) await lab.peer.release('pair', session, { withdraw: true })
  await lab.store.release('pair', id)
  await lab.assertFree('pair')
}

const WRITER: Overrides = {}

export const claimCases: StoreCase[] = [
  {
    name: 'a free name is granted at once, with a token and the end of its lease',
    async run(lab) {
      const session = await lab.session()
      const beforeMs = lab.now()
      const { id, reply } = await session.take('free', { ttlMs: 10_000 })
      assert.ok(Number.isSafeInteger(reply.fencingToken) && reply.fencingToken > 0, `the token ${reply.fencingToken}`)
      assert.ok(reply.validUntilMs <= lab.now() + 10_000, 'the lease is not longer than was asked for')
      assert.ok(reply.validUntilMs > beforeMs + 5_000, 'the lease is not much shorter than was asked for')
      assert.equal((await lab.store.release('free', id)).status, 'released')
      await lab.assertFree('free')
    },
  },
  {
    name: 'a taken name makes a claim wait, and tells when the next lease ends',
    async run(lab) {
      const [holder, waiter] = [await lab.session(), await lab.session(lab.peer)]
      const { reply } = await holder.take('taken', { ttlMs: 20_000 })
      const second = await waiter.wait('taken')
      assert.ok(Number.isSafeInteger(second.reply.ticket) && second.reply.ticket > 0, `the ticket ${second.reply.ticket}`)
      assert.ok(second.reply.nextEndMs > lab.now(), 'the lease has not ended yet')
      assert.ok(second.reply.nextEndMs <= reply.validUntilMs + 1_000, 'nor is its end told much too late')
      assert.deepEqual(
        (await lab.held('taken')).map((one) => one.fencingToken),
        [reply.fencingToken],
      )
      assert.deepEqual(
        (await lab.pending('taken')).map((one) => one.id),
        [second.id],
      )
    },
  },
  {
    name: 'a single attempt at a taken name is busy and leaves nothing behind',
    needsLimits: true,
    async run(lab) {
      const [holder, other] = [await lab.session(), await lab.session(lab.peer)]
      const { id } = await holder.take('once')
      for (const overrides of [WRITER, READER, counted(2, 5), { priority: 9 }]) {
        const { reply } = await other.ask('once', { ...overrides, queue: false })
        assert.deepEqual(reply, { status: 'busy' })
      }
      assert.deepEqual(await lab.pending('once'), [])
      await lab.store.release('once', id)
      assert.deepEqual(await other.heardOf([]), [])
      await lab.assertFree('once')
    },
  },
  {
    name: 'a single attempt at a free name is granted',
    async run(lab) {
      const session = await lab.session()
      await session.take('once', { queue: false })
      await lab.assertTaken('once')
    },
  },
  ...(
    [
      ['writer', WRITER, 'writer', WRITER, false],
      ['writer', WRITER, 'reader', READER, false],
      ['reader', READER, 'writer', WRITER, false],
      ['reader', READER, 'reader', READER, true],
      ['permit of a semaphore', counted(1, 2), 'writer', WRITER, false],
      ['writer', WRITER, 'permit of a semaphore', counted(1, 2), false],
      ['permit of two', counted(1, 2), 'second permit', counted(1, 2), true],
      ['permit of one', counted(1, 1), 'second permit', counted(1, 1), false],
      ['two permits of three', counted(2, 3), 'two more', counted(2, 3), false],
      ['two permits of four', counted(2, 4), 'two more', counted(2, 4), true],
    ] as const
  ).map(([firstName, first, secondName, second, fits]) => ({
    name: `a ${secondName} ${fits ? 'fits beside' : 'does not fit beside'} a ${firstName}`,
    needsLimits: [first, second].some(({ limit = 0 }) => limit > 1),
    run: (lab: Lab) => checkPair(lab, first, second, fits),
  })),
  {
    name: 'a semaphore grants as many permits as there are, and not one more',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const taken = [
        await session.take('sem', counted(3, 5)),
        await session.take('sem', counted(1, 5)),
        await session.take('sem', counted(1, 5)),
      ]
      const { reply } = await session.ask('sem', { ...counted(1, 5), queue: false })
      assert.equal(reply.status, 'busy')
      await lab.store.release('sem', taken[0]!.id)
      await session.take('sem', counted(2, 5))
      await session.take('sem', counted(1, 5))
      assert.equal((await session.ask('sem', { ...counted(1, 5), queue: false })).reply.status, 'busy')
    },
  },
  {
    name: 'readers are not limited in number',
    async run(lab) {
      const session = await lab.session()
      for (let i = 0; i < 50; i++) await session.take('readers', READER)
      assert.equal((await lab.held('readers')).length, 50)
    },
  },
  {
    name: 'names have nothing to do with one another',
    async run(lab) {
      const session = await lab.session()
      const one = await session.take('one')
      await session.take('other')
      assert.equal(
        (await lab.store.release('other', one.id)).status,
        'absent',
        'an id holds what it was granted, not what is called otherwise',
      )
      await lab.assertTaken('one')
    },
  },
  {
    name: 'another limit is a conflict, which tells the limit and changes nothing',
    needsLimits: true,
    async run(lab) {
      const [holder, other] = [await lab.session(), await lab.session(lab.peer)]
      const { id } = await holder.take('limits', counted(2, 3))
      const waiter = await holder.wait('limits', counted(2, 3))
      const state = async () => {
        const { held, pending } = await lab.peer.query({ name: 'limits' })
        return [...held, ...pending].map((one) => [one.id, one.permits, one.limit])
      }
      const before = await state()
      for (const limit of [2, 4, 0]) {
        for (const queue of [true, false]) {
          const { reply } = await other.ask('limits', { ...counted(1, limit), queue })
          assert.deepEqual(reply, { status: 'conflict', limit: 3 })
        }
      }
      assert.deepEqual(await state(), before)
      assert.equal((await lab.store.renew('limits', id, LONG_MS)).status, 'held')
      await lab.store.release('limits', id)
      await holder.enters(waiter)
      await lab.store.release('limits', waiter.id)
      await lab.assertFree('limits')
    },
  },
  {
    name: 'a limit conflicts with readers, who have none',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      await session.take('readers', READER)
      const { reply } = await session.ask('readers', counted(1, 3))
      assert.deepEqual(reply, { status: 'conflict', limit: 0 })
    },
  },
  {
    name: 'the limit of those who wait counts too',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      await session.take('limits')
      await session.wait('limits', counted(1, 3))
      const { reply } = await session.ask('limits', counted(1, 4))
      assert.deepEqual(reply, { status: 'conflict', limit: 3 })
    },
  },
  {
    name: 'an exclusive claim conflicts with no limit',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('limits', counted(1, 3))
      const writer = await session.wait('limits', { limit: 7 })
      await lab.store.release('limits', id)
      await session.enters(writer)
    },
  },
  {
    name: 'a limit is forgotten when its name is free: after a release, after a lease, after the last waiter left',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('limits', counted(1, 3))
      await lab.store.release('limits', id)
      const next = await session.take('limits', { ...counted(1, 4), ttlMs: 60 })
      await lab.until('another limit after the lease', async () => {
        const { reply } = await session.ask('limits', { ...READER, queue: false })
        return reply.status === 'granted' && lab.store.release('limits', next.id)
      })
      await lab.store.forceRelease('limits')
      const writer = await session.take('limits')
      const waiter = await session.wait('limits', counted(1, 5))
      await lab.store.release('limits', waiter.id, { withdraw: true })
      await lab.store.release('limits', writer.id)
      await session.take('limits', counted(1, 6))
    },
  },
  {
    name: 'more replicas than there are confirm nothing: the claim is refused, a renewal too, and what was granted can be given back',
    async run(lab) {
      const session = await lab.session()
      const request = session.request('copied', { minReplicas: 100, ttlMs: 600 })
      await assert.rejects(lab.store.acquire(request), (error) => error instanceof StoreFailure && error.kind === 'refused')
      await lab.store.release('copied', request.id, { withdraw: true })
      const { id } = await session.take('copied')
      await assert.rejects(lab.store.renew('copied', id, 600, undefined, 100), StoreFailure)
      await lab.store.release('copied', id)
      await lab.assertFree('copied')
    },
  },
]
