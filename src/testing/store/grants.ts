/** Grants that are pushed: to whom, for how long, and what becomes of one that nobody takes. */

import assert from 'node:assert/strict'
import { type Lab, LONG_MS, needsGrants, READER, type StoreCase } from './lab.js'

/** Leaves out what a later moment changes. */
async function ids(lab: Lab, name: string): Promise<string[]> {
  return (await lab.held(name)).map((one) => one.id)
}

export const grantCases: StoreCase[] = [
  {
    name: 'a release grants to the next and tells it, whoever released and wherever it waits',
    async run(lab) {
      const [here, there] = [await lab.session(), await lab.session(lab.peer)]
      const first = await here.take('wake')
      const second = await there.wait('wake')
      const third = await here.wait('wake')
      await lab.store.release('wake', first.id)
      const { grant, atMs } = await there.hears(second.id)
      assert.ok(Number.isSafeInteger(grant.fencingToken) && grant.fencingToken > first.reply.fencingToken)
      assert.ok(grant.validUntilMs > atMs, 'there is time left to confirm it')
      assert.deepEqual(await ids(lab, 'wake'), [second.id])
      await lab.peer.release('wake', second.id)
      await here.hears(third.id)
    },
  },
  {
    name: 'only whoever was granted is told, and once',
    async run(lab) {
      const sessions = [await lab.session(), await lab.session(lab.peer), await lab.session()]
      const first = await sessions[0]!.take('told')
      const next = await sessions[1]!.wait('told')
      const last = await sessions[2]!.wait('told')
      await lab.store.release('told', first.id)
      await sessions[1]!.enters(next)
      const heard = await Promise.all(sessions.map((session) => session.heardOf([next, last])))
      assert.deepEqual(heard, [[], [next.id], []])
    },
  },
  {
    name: 'a session that listens no more is told nothing',
    async run(lab) {
      const [holder, gone] = [await lab.session(), await lab.session(lab.peer)]
      const { id } = await holder.take('gone')
      await gone.wait('gone')
      await gone.leave()
      await lab.store.release('gone', id)
      const heard = gone.grants.length
      // By the time that others have heard, it would have too.
      await holder.hasHeardAll()
      assert.deepEqual([heard, gone.grants.length], [0, 0])
    },
  },
  {
    name: 'a pushed grant stands for a claim window, which its holder is told truly',
    skip: needsGrants,
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('window')
      const next = await session.wait('window')
      await lab.store.release('window', id)
      const { grant, atMs } = await session.hears(next.id)
      assert.ok(grant.validUntilMs <= atMs + lab.store.claimWindowMs, 'no longer than the claim window')
      await lab.assertTakenUntil('window', grant.validUntilMs)
      assert.ok(lab.now() < atMs + lab.store.claimWindowMs + 2_000, 'and it ends then, not with the lease that was asked for')
      assert.equal((await lab.store.renew('window', next.id, LONG_MS)).status, 'lost')
    },
  },
  {
    name: 'a pushed grant that nobody confirms goes on to the next',
    skip: needsGrants,
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('window')
      const silent = await session.wait('window')
      const next = await session.wait('window')
      await lab.store.release('window', id)
      await session.hears(silent.id)
      await session.granting(next)
      assert.deepEqual(await ids(lab, 'window'), [next.id])
    },
  },
  {
    name: 'a pushed grant never stands longer than the lease that was asked for',
    async run(lab) {
      const session = await lab.session()
      const ttlMs = Math.ceil(lab.store.claimWindowMs / 4)
      const { id } = await session.take('brief')
      const next = await session.wait('brief', { ttlMs })
      await lab.store.release('brief', id)
      const { grant, atMs } = await session.hears(next.id)
      assert.ok(grant.validUntilMs <= atMs + ttlMs)
      for (const { expiresInMs } of await lab.held('brief')) assert.ok(expiresInMs <= ttlMs, `${expiresInMs} ms`)
      // It may be over by now, and then nobody has looked at the name since.
      await lab.store.release('brief', next.id)
    },
  },
  {
    name: 'a renewal makes a pushed grant a whole lease',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('confirm')
      const next = await session.wait('confirm')
      await lab.store.release('confirm', id)
      await session.enters(next)
      await lab.pass(lab.store.claimWindowMs + 20)
      await lab.assertTaken('confirm')
      assert.deepEqual(await ids(lab, 'confirm'), [next.id])
    },
  },
  {
    name: 'asking again makes a pushed grant a whole lease, with the same token',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('confirm')
      const next = await session.wait('confirm')
      await lab.store.release('confirm', id)
      const { grant } = await session.hears(next.id)
      const reply = await session.again(next)
      assert.ok(reply.status === 'granted' && reply.fencingToken === grant.fencingToken, 'the same grant')
      assert.ok(reply.status === 'granted' && reply.validUntilMs > grant.validUntilMs, 'for the whole lease')
      await lab.pass(lab.store.claimWindowMs + 20)
      assert.deepEqual(await ids(lab, 'confirm'), [next.id])
    },
  },
  {
    name: 'a waiter whose wake-up never arrived finds its grant by asking again',
    async run(lab) {
      const [holder, deaf] = [await lab.session(), await lab.session(lab.peer)]
      const { id } = await holder.take('deaf')
      const waiter = await deaf.wait('deaf')
      await deaf.leave()
      await lab.store.release('deaf', id)
      await deaf.granting(waiter)
      assert.deepEqual(await ids(lab, 'deaf'), [waiter.id])
    },
  },
  {
    name: 'a waiter whose session is gone holds up the others for a while at most',
    async run(lab) {
      const [holder, gone] = [await lab.session(), await lab.session(lab.peer)]
      const { id } = await holder.take('gone')
      await gone.wait('gone')
      const next = await holder.wait('gone')
      await gone.leave()
      await lab.store.release('gone', id)
      await holder.granting(next)
      assert.deepEqual(await ids(lab, 'gone'), [next.id])
    },
  },
  {
    name: 'a waiter whose session is gone is passed over at once',
    skip: (harness) => (harness.seesWhoIsGone ? undefined : 'the store does not learn at once who is gone'),
    async run(lab) {
      const [holder, gone] = [await lab.session(), await lab.session(lab.peer)]
      const { id } = await holder.take('gone')
      await gone.wait('gone')
      await gone.wait('gone', READER)
      const next = await holder.wait('gone')
      await gone.leave()
      await lab.store.release('gone', id)
      assert.deepEqual(await ids(lab, 'gone'), [next.id])
      await holder.enters(next)
    },
  },
  {
    name: 'however many waiters are gone, nobody gets in before the one who is there',
    skip: (harness) => (harness.seesWhoIsGone ? undefined : 'the store does not learn at once who is gone'),
    async run(lab) {
      const [holder, gone, living] = [await lab.session(), await lab.session(lab.peer), await lab.session()]
      const { id } = await holder.take('gone')
      await Promise.all(Array.from({ length: 1_200 }, () => gone.wait('gone')))
      const next = await living.wait('gone')
      await gone.leave()
      await lab.store.release('gone', id)
      await lab.assertTaken('gone')
      await living.enters(next)
    },
  },
  {
    name: 'a waiter that shows no sign of life is dropped, one that asks is not',
    skip: (harness) => (harness.waiterLifeMs === undefined ? 'the harness does not tell waiterLifeMs' : undefined),
    async run(lab) {
      const life = lab.harness.waiterLifeMs!
      const session = await lab.session()
      const { id } = await session.take('life')
      const silent = await session.wait('life')
      const living = await session.wait('life')
      for (let passedMs = 0; passedMs <= life; passedMs += life / 4) {
        await lab.pass(life / 4)
        assert.ok((await lab.pending('life')).some((one) => one.id === living.id))
        assert.equal((await session.again(living)).status, 'waiting')
      }
      await lab.store.release('life', id)
      await session.enters(living)
      assert.deepEqual(await session.heardOf([silent, living]), [living.id])
    },
  },
]
