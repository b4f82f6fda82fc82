/** The request's id: sent again, sent twice at once, kept through the loss of a place. */

import assert from 'node:assert/strict'
import { counted, LONG_MS, needsGrants, type StoreCase } from './lab.js'

export const requestCases: StoreCase[] = [
  {
    name: 'the request of a holder, sent again, finds its own grant',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('again')
      const again = await session.again(first)
      assert.equal(again.status, 'granted')
      assert.equal(again.status === 'granted' && again.fencingToken, first.reply.fencingToken)
      assert.equal((await lab.held('again')).length, 1)
      assert.equal((await lab.store.release('again', first.id)).status, 'released')
      await lab.assertFree('again')
    },
  },
  {
    name: 'the request of a holder, sent again as a single attempt, finds its own grant too',
    async run(lab) {
      const session = await lab.session()
      const { request, reply } = await session.take('again', { queue: false })
      const again = await session.send(request)
      assert.equal(again.reply.status === 'granted' && again.reply.fencingToken, reply.fencingToken)
    },
  },
  {
    name: 'the request of a holder, sent again, makes its lease whole',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('whole', { ttlMs: 150 })
      await lab.pass(50)
      const again = await session.again(first)
      assert.ok(again.status === 'granted' && again.validUntilMs >= first.reply.validUntilMs + 40, 'the lease begins anew')
      await lab.assertTakenUntil('whole', again.validUntilMs)
    },
  },
  {
    name: 'permits are counted once for a request, however often it is sent',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('sem', counted(2, 4))
      for (let i = 0; i < 5; i++) await session.again(first)
      const second = await session.take('sem', counted(2, 4))
      assert.equal((await session.ask('sem', { ...counted(1, 4), queue: false })).reply.status, 'busy')
      for (const { id } of [first, second]) await lab.store.release('sem', id)
      await lab.assertFree('sem')
    },
  },
  {
    name: 'the request of a waiter, sent again, finds its own place',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('place')
      const first = await session.wait('place')
      const second = await session.wait('place')
      for (const request of [first.request, { ...first.request, ticket: first.reply.ticket }]) {
        const { reply } = await session.send(request)
        assert.equal(reply.status === 'waiting' && reply.ticket, first.reply.ticket)
      }
      assert.deepEqual(
        (await lab.pending('place')).map((one) => one.id),
        [first.id, second.id],
      )
      await lab.store.release('place', id)
      await session.enters(first)
      await lab.store.release('place', first.id)
      await session.enters(second)
      await lab.store.release('place', second.id)
      await lab.assertFree('place')
    },
  },
  {
    name: 'a request that is sent twice at once is one claim',
    async run(lab) {
      const session = await lab.session()
      const granted = session.request('twice')
      const both = await Promise.all([lab.store.acquire(granted), lab.store.acquire(granted)])
      assert.deepEqual(
        both.map((reply) => reply.status),
        ['granted', 'granted'],
      )
      assert.equal(new Set(both.map((reply) => reply.status === 'granted' && reply.fencingToken)).size, 1)
      const waiting = session.request('twice')
      await Promise.all([lab.store.acquire(waiting), lab.store.acquire(waiting)])
      assert.deepEqual(
        (await lab.pending('twice')).map((one) => one.id),
        [waiting.id],
      )
      await lab.store.release('twice', granted.id)
      await session.hears(waiting.id)
      await lab.store.release('twice', waiting.id)
      await lab.assertFree('twice')
    },
  },
  {
    name: 'a waiter that asks again for a longer lease gets what it is told',
    async run(lab) {
      const session = await lab.session()
      await session.take('longer', { ttlMs: 100 })
      const waiter = await session.wait('longer', { ttlMs: 100 })
      const longer = { ...waiter, request: { ...waiter.request, ttlMs: 300 } }
      const { validUntilMs } = await session.granting(longer)
      assert.ok(validUntilMs >= lab.now() + 150, 'what it asked for last counts')
      await lab.assertTakenUntil('longer', validUntilMs)
    },
  },
  {
    name: 'a ticket brings a claim back to its place after its turn passed unused',
    skip: needsGrants,
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('ticket')
      const slow = await session.wait('ticket')
      const second = await session.wait('ticket')
      const third = await session.wait('ticket')
      await lab.store.release('ticket', id)
      await session.hears(slow.id)
      // It does not confirm; whoever asks after the claim window moves the queue on.
      await session.granting(second)
      await session.again(third)
      const back = await session.again(slow)
      assert.equal(back.status === 'waiting' && back.ticket, slow.reply.ticket)
      assert.deepEqual(
        (await lab.pending('ticket')).map((one) => one.id),
        [slow.id, third.id],
      )
    },
  },
  {
    name: 'an id that let go is a new claim when it asks again without having been withdrawn',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('reuse')
      await lab.store.release('reuse', first.id)
      const { reply } = await session.send(first.request)
      assert.ok(reply.status === 'granted' && reply.fencingToken > first.reply.fencingToken, 'a new grant with a larger token')
      assert.equal((await lab.store.renew('reuse', first.id, LONG_MS)).status, 'held')
    },
  },
]
