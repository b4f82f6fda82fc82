/** Fencing tokens: larger at every grant of the same name. */

import assert from 'node:assert/strict'
import { READER, type StoreCase } from './lab.js'

export const tokenCases: StoreCase[] = [
  {
    name: 'tokens grow from grant to grant, however fast those follow',
    async run(lab) {
      const [session, other] = [await lab.session(), await lab.session(lab.peer)]
      let last = 0
      for (let i = 0; i < 50; i++) {
        const { id, reply } = await (i % 2 === 0 ? session : other).take('grow')
        assert.ok(reply.fencingToken > last, `${reply.fencingToken} after ${last}`)
        assert.ok(Number.isSafeInteger(reply.fencingToken))
        last = reply.fencingToken
        await lab.store.release('grow', id)
      }
    },
  },
  {
    name: 'claims that hold together have tokens of their own',
    async run(lab) {
      const session = await lab.session()
      const claims = await Promise.all(Array.from({ length: 20 }, () => session.take('shared', READER)))
      const tokens = claims.map((claim) => claim.reply.fencingToken)
      assert.equal(new Set(tokens).size, 20)
      assert.deepEqual(
        tokens,
        [...tokens].sort((a, b) => a - b),
        'in the order of the grants',
      )
    },
  },
  {
    name: 'a pushed grant has a larger token, and keeps it when it is confirmed by asking again',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('pushed')
      const next = await session.wait('pushed')
      await lab.store.release('pushed', first.id)
      const { grant } = await session.hears(next.id)
      assert.ok(grant.fencingToken > first.reply.fencingToken)
      const reply = await session.again(next)
      assert.equal(reply.status === 'granted' && reply.fencingToken, grant.fencingToken)
      assert.deepEqual(
        (await lab.held('pushed')).map((one) => one.fencingToken),
        [grant.fencingToken],
      )
    },
  },
  {
    name: 'tokens grow across a lease that ended and across a release by force',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('over', { ttlMs: 60 })
      const second = await lab.assertTakenUntil('over', first.reply.validUntilMs)
      assert.ok(second.reply.fencingToken > first.reply.fencingToken, 'after the end of a lease')
      await lab.store.forceRelease('over')
      const third = await session.take('over')
      assert.ok(third.reply.fencingToken > second.reply.fencingToken, 'after a release by force')
    },
  },
  {
    name: 'a renewal keeps the token',
    async run(lab) {
      const session = await lab.session()
      const { id, reply } = await session.take('renewed')
      await lab.store.renew('renewed', id, 90_000)
      assert.deepEqual(
        (await lab.held('renewed')).map((one) => one.fencingToken),
        [reply.fencingToken],
      )
    },
  },
]
