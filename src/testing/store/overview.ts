/** What people see and do: queries, release by force, the end of a store. */

import assert from 'node:assert/strict'
import { counted, LONG_MS, READER, type StoreCase } from './lab.js'

const INFO = JSON.stringify({ label: 'a b', host: 'höst', pid: 7, metadata: { text: ' "quoted"\n\\ {x} 😀 ', '': '' } })

export const overviewCases: StoreCase[] = [
  {
    name: 'a query shows holders as they claimed',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      const { id, reply } = await session.take('seen', { ...counted(2, 5), info: INFO, ttlMs: 20_000 })
      await lab.pass(30)
      const { held, pending } = await lab.peer.query({ name: 'seen' })
      const { ageMs, expiresInMs, ...rest } = held[0]!
      const claimed = { name: 'seen', id, mode: 'counted', permits: 2, limit: 5, info: INFO, fencingToken: reply.fencingToken }
      assert.deepEqual(rest, claimed)
      assert.ok(ageMs >= 25 && ageMs < 10_000, `held for ${ageMs} ms`)
      assert.ok(expiresInMs > 10_000 && expiresInMs <= 20_000 - 25, `${expiresInMs} ms are left`)
      assert.deepEqual([held.length, pending], [1, []])
    },
  },
  {
    name: 'a query shows waiters as they claimed, in the order of grants',
    async run(lab) {
      const session = await lab.session()
      const holder = await session.take('seen')
      const plain = await session.wait('seen', { info: INFO })
      const reader = await session.wait('seen', { ...READER, priority: -2 })
      const first = await session.wait('seen', { priority: 3 })
      await lab.pass(30)
      const { held, pending } = await lab.peer.query({ name: 'seen' })
      assert.deepEqual(
        held.map((one) => [one.id, one.mode, one.permits, one.limit]),
        [[holder.id, 'exclusive', 1, 1]],
      )
      const shown = pending.map(({ ageMs, ...rest }) => {
        assert.ok(ageMs >= 25 && ageMs < 10_000, `waiting for ${ageMs} ms`)
        return rest
      })
      const writer = { name: 'seen', mode: 'exclusive', permits: 1, limit: 1, info: '' }
      assert.deepEqual(shown, [
        { ...writer, id: first.id, priority: 3, position: 1 },
        { ...writer, id: plain.id, info: INFO, priority: 0, position: 2 },
        { name: 'seen', mode: 'counted', permits: 1, limit: 0, info: '', id: reader.id, priority: -2, position: 3 },
      ])
    },
  },
  {
    name: 'a query without a filter shows all names, with one that name or those that begin so',
    async run(lab) {
      const session = await lab.session()
      const names = ['app:a', 'app:b', 'app', 'ap', 'other', '*', 'app:?', 'app:[ab]', 'app\\:a', '{app:a}']
      for (const name of names) await session.take(name)
      for (const name of names) await session.wait(name)
      const shown = async (filter: { name?: string; prefix?: string }) => {
        const { held, pending } = await lab.peer.query(filter)
        const heldNames = held.map((one) => one.name).sort()
        assert.deepEqual(pending.map((one) => one.name).sort(), heldNames)
        return heldNames
      }
      assert.deepEqual(await shown({}), [...names].sort())
      for (const text of [...names, 'app:', '', '{', 'app:[', 'nothing']) {
        assert.deepEqual(
          await shown({ name: text }),
          names.filter((name) => name === text),
          `the name ${text}`,
        )
        assert.deepEqual(await shown({ prefix: text }), names.filter((name) => name.startsWith(text)).sort(), `the prefix ${text}`)
      }
    },
  },
  {
    name: 'a query shows nobody whose lease is over, nor who has released, nor who was withdrawn',
    async run(lab) {
      const session = await lab.session()
      const { id } = await session.take('over', { ttlMs: 50 })
      await lab.until('its end', async () => (await lab.held('over')).length === 0)
      assert.equal((await lab.store.renew('over', id, LONG_MS)).status, 'lost', 'a query says what is')
      await lab.store.release('over', 'nobody.1', { withdraw: true })
      assert.deepEqual(await lab.peer.query({}), { held: [], pending: [] })
    },
  },
  {
    name: 'a query changes nothing',
    async run(lab) {
      const session = await lab.session()
      const { reply } = await session.take('seen', { ttlMs: 120 })
      for (let i = 0; i < 5; i++) await lab.held('seen')
      await lab.assertTakenUntil('seen', reply.validUntilMs)
    },
  },
  {
    name: 'a release by force takes the name from all its holders, tells them, and lets the next in',
    async run(lab) {
      const [here, there] = [await lab.session(), await lab.session(lab.peer)]
      const holders = [await here.take('force', READER), await there.take('force', READER), await here.take('force', READER)]
      const writer = await there.wait('force')
      const later = await here.wait('force', READER)
      assert.equal(await lab.store.forceRelease('force'), 3)
      const ids = holders.map((holder) => holder.id).sort()
      // Where there are hints for other reasons, only those to the holders count.
      const news = () => [...here.changes, ...there.changes].filter((id) => !lab.harness.hintsOnly || ids.includes(id)).sort()
      await lab.arrival('the news', () => (news().length >= 3 ? true : undefined))
      assert.deepEqual(news(), ids)
      const grant = await there.enters(writer)
      assert.ok(grant.fencingToken > holders[2]!.reply.fencingToken)
      for (const { id } of holders) {
        assert.equal((await lab.store.renew('force', id, LONG_MS)).status, 'lost')
        assert.equal((await lab.store.release('force', id)).status, 'absent')
      }
      assert.deepEqual(
        (await lab.pending('force')).map((one) => one.id),
        [later.id],
      )
      await lab.peer.release('force', writer.id)
      await here.enters(later)
      await lab.store.release('force', later.id)
      await lab.assertFree('force')
    },
  },
  {
    name: 'a release by force of one name leaves the others alone',
    async run(lab) {
      const session = await lab.session()
      await session.take('force')
      const other = await session.take('force2')
      assert.equal(await lab.store.forceRelease('force'), 1)
      assert.equal(await lab.store.forceRelease('force'), 0)
      assert.equal((await lab.store.renew('force2', other.id, LONG_MS)).status, 'held')
    },
  },
  {
    name: 'a release by force does not count whose lease is over',
    async run(lab) {
      const session = await lab.session()
      await session.take('force', { ttlMs: 40 })
      await lab.pass(140)
      assert.equal(await lab.store.forceRelease('force'), 0)
    },
  },
  {
    name: 'the store tells its times, and that it has answered',
    async run(lab) {
      const { store } = lab
      const session = await lab.session()
      await session.take('told')
      assert.equal(store.hasAnswered, true)
      assert.ok(store.claimWindowMs > 0 && Number.isFinite(store.claimWindowMs))
      assert.ok(store.checkEveryMs > 0 && Number.isFinite(store.checkEveryMs))
      assert.ok(store.checkEveryMs * 2 <= store.claimWindowMs, 'a waiter shows life at least twice in a claim window')
    },
  },
  {
    name: 'a store that was closed refuses everything with a StoreFailure, and may be closed again',
    async run(lab) {
      const session = await lab.session()
      const { request, id } = await session.take('closed')
      await lab.store.release('closed', id)
      lab.closedByCase = true
      await lab.store.close()
      const calls = [
        () => lab.store.acquire(request),
        () => lab.store.renew('closed', id, LONG_MS),
        () => lab.store.release('closed', id),
        () => lab.store.query({}),
        () => lab.store.query({ name: 'closed' }),
        () => lab.store.forceRelease('closed'),
        () => lab.store.listen('another', session),
      ]
      for (const call of calls) {
        const error = await call().then(
          () => undefined,
          (reason: unknown) => reason,
        )
        assert.ok(error instanceof Error && error.name === 'StoreFailure', `${call}: ${error}`)
      }
      await lab.store.close()
    },
  },
]
