/**
 * What a process needs that hands a lock on from one of its claims to the next without asking: who else waits, tokens of its own, and a way to
 * tell who holds the lock by now. A store that does not know of others, or has no tokens to spare, says so by leaving that out.
 */

import assert from 'node:assert/strict'
import { type Grant, SPARE_TOKENS } from '../../memory.js'
import { type Claimed, counted, type Granted, type Lab, LONG_MS, READER, type Session, type StoreCase } from './lab.js'

/** So many tokens grow in a millisecond at least, by a clock that runs slow by a hundredth. */
const TOKENS_PER_MS = 990

/** A token that the time will not reach within a case. */
const AHEAD = 60_000_000

const INFO = ' {"a b": "höst"} 1 2 '

/** Nobody, or nothing is known. */
function assertAlone({ othersWait }: Grant, what: string): void {
  assert.notEqual(othersWait, true, what)
}

/** Somebody, or nothing is known. */
function assertCrowded({ othersWait }: Grant, what: string): void {
  assert.notEqual(othersWait, false, what)
}

/** The lock is granted to another after `leave`, with a token beyond those that its holder could have used meanwhile. */
async function assertBeyond(lab: Lab, first: Grant, leave: () => Promise<unknown>, next: () => Promise<Grant>): Promise<void> {
  const sinceMs = lab.now()
  await lab.pass(20)
  const heldMs = lab.now() - sinceMs
  await leave()
  const { fencingToken } = await next()
  if (first.canHandOn !== true) return
  const last = first.fencingToken + (first.spareTokensOnly ? SPARE_TOKENS : Math.floor(heldMs * TOKENS_PER_MS))
  assert.ok(fencingToken > last, `${fencingToken} after ${heldMs} ms of ${first.fencingToken}`)
}

/** Takes what others leave, and leaves it again. */
async function tokenOfNext(lab: Lab, session: Session, name: string): Promise<number> {
  const next: Claimed<Granted> = await session.take(name)
  await lab.store.release(name, next.id)
  return next.reply.fencingToken
}

export const handOverCases: StoreCase[] = [
  {
    name: 'a waiter is told how many wait, itself included',
    async run(lab) {
      const [here, there] = [await lab.session(), await lab.session(lab.peer)]
      await here.take('count')
      const first = await here.wait('count')
      if (first.reply.waiters === undefined) return
      const second = await there.wait('count', { priority: 5 })
      const third = await here.wait('count', READER)
      assert.deepEqual([first.reply.waiters, second.reply.waiters, third.reply.waiters], [1, 2, 3])
      const countAgain = async () => {
        const reply = await here.again(first)
        return reply.status === 'waiting' && reply.waiters
      }
      assert.equal(await countAgain(), 3)
      await lab.store.release('count', second.id, { withdraw: true })
      assert.equal(await countAgain(), 2, 'one has left')
    },
  },
  {
    name: 'a grant that is a reply says whether others wait',
    async run(lab) {
      const [here, there] = [await lab.session(), await lab.session(lab.peer)]
      const holder = await here.take('others')
      assertAlone(holder.reply, 'nobody has come yet')
      assertAlone((await here.again(holder)) as Granted, 'nor until now')
      const waiters = [await here.wait('others', { ttlMs: 50 }), await there.wait('others', { ttlMs: 50 })] as const
      assertCrowded((await here.again(holder)) as Granted, 'two wait')
      await lab.store.release('others', holder.id)
      await here.hears(waiters[0].id)
      assertCrowded((await here.again(waiters[0])) as Granted, 'one waits')
      // By asking when the lease has ended.
      assertAlone(await there.granting(waiters[1]), 'nobody waits')
    },
  },
  {
    name: 'a grant that is pushed says whether others wait behind it',
    async run(lab) {
      const [here, there] = [await lab.session(), await lab.session(lab.peer)]
      const holder = await here.take('others')
      const waiters = [await there.wait('others'), await here.wait('others'), await there.wait('others', READER)] as const
      await lab.store.release('others', holder.id)
      assertCrowded((await there.hears(waiters[0].id)).grant, 'two wait')
      await lab.store.release('others', waiters[0].id)
      assertCrowded((await here.hears(waiters[1].id)).grant, 'one waits')
      await lab.store.release('others', waiters[1].id)
      assertAlone((await there.hears(waiters[2].id)).grant, 'nobody waits')
    },
  },
  {
    name: 'a lone waiter hears when one of another session joins it, once, and not of its own session',
    async run(lab) {
      for (const priority of [0, 5, -5]) {
        const [here, there] = [await lab.session(), await lab.session(lab.peer)]
        const name = `lone ${priority}`
        await here.take(name)
        const lone = await here.wait(name)
        if (lone.reply.waiters === undefined) return
        const own = await here.wait(name)
        await here.hasHeardAll()
        assert.deepEqual(here.crowded, [], 'it knows of its own')
        await lab.store.release(name, own.id, { withdraw: true })
        const other = await there.wait(name, { priority })
        await lab.arrival('the news', () => (here.crowded.length > 0 ? true : undefined))
        await there.wait(name)
        // Nor when those ask again that wait already.
        await there.again(other)
        await here.again(lone)
        await Promise.all([here.hasHeardAll(), there.hasHeardAll()])
        assert.deepEqual([here.crowded, there.crowded], [[lone.id], []])
      }
    },
  },
  {
    name: 'a release that reports a token makes that of the next grant larger',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      for (const [kind, claim] of Object.entries({ exclusive: {}, counted: counted(2, 3) })) {
        const first = await session.take(kind, claim)
        const used = first.reply.fencingToken + AHEAD
        await lab.store.release(kind, first.id, { fencingToken: used })
        const second = await session.take(kind, claim)
        assert.ok(second.reply.fencingToken > used, 'the next, at once')
        const waiter = await session.wait(kind, claim)
        const usedMore = second.reply.fencingToken + AHEAD
        await lab.store.release(kind, second.id, { fencingToken: usedMore })
        const { grant } = await session.hears(waiter.id)
        assert.ok(grant.fencingToken > usedMore, 'the next, that waited')
        const usedLast = grant.fencingToken + AHEAD
        await lab.store.release(kind, waiter.id, { fencingToken: usedLast, keepMs: 20 })
        const { reply } = await lab.assertTakenUntil(kind, lab.now() + 1)
        assert.ok(reply.fencingToken > usedLast, 'the next, after a while')
      }
    },
  },
  {
    name: 'a release that reports a smaller token, or of what is not held, changes no token',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('report')
      await lab.store.release('report', first.id, { fencingToken: 1 })
      const second = await tokenOfNext(lab, session, 'report')
      assert.ok(second > first.reply.fencingToken)
      assert.equal((await lab.store.release('report', first.id, { fencingToken: second + AHEAD })).status, 'absent')
      assert.equal((await lab.store.release('report', first.id, { fencingToken: second + AHEAD, withdraw: true })).status, 'absent')
      const third = await tokenOfNext(lab, session, 'report')
      assert.ok(third > second && third < second + AHEAD)
    },
  },
  {
    name: 'a renewal that names the holder shows its token and info, and leaves everything else as it is',
    needsLimits: true,
    async run(lab) {
      const session = await lab.session()
      for (const [kind, claim] of Object.entries({ exclusive: {}, counted: counted(2, 5) })) {
        const { id, reply } = await session.take(kind, { ...claim, info: 'first', ttlMs: 20_000 })
        const other = kind === 'counted' ? await session.take(kind, { ...counted(1, 5), info: 'other' }) : undefined
        const shown = async () => {
          const { ageMs, expiresInMs, ...rest } = (await lab.held(kind)).find((one) => one.id === id)!
          return { rest, ageMs, expiresInMs }
        }
        const before = await shown()
        await lab.pass(10)
        const holder = { fencingToken: reply.fencingToken + 7, info: INFO }
        assert.equal((await lab.store.renew(kind, id, LONG_MS, holder)).status, 'held')
        const after = await shown()
        assert.deepEqual(after.rest, { ...before.rest, ...holder })
        assert.ok(after.ageMs >= before.ageMs + 5 && after.expiresInMs > 20_000, 'it has held since the grant, and the lease is renewed')
        assert.equal((await lab.store.renew(kind, id, LONG_MS)).status, 'held')
        assert.deepEqual((await shown()).rest, after.rest, 'a renewal that names nobody changes nothing')
        await lab.assertTaken(kind)
        if (other !== undefined) {
          assert.deepEqual(
            (await lab.held(kind)).filter((one) => one.id === other.id).map(({ info, fencingToken }) => [info, fencingToken]),
            [['other', other.reply.fencingToken]],
          )
          const { reply: third } = await session.ask(kind, { ...counted(3, 5), queue: false })
          assert.equal(third.status, 'busy', 'two permits of five are left')
          await lab.store.release(kind, other.id)
        }
        await lab.store.release(kind, id)
        assert.ok((await tokenOfNext(lab, session, kind)) > holder.fencingToken)
      }
    },
  },
  {
    name: 'a renewal of what is lost shows no holder either',
    async run(lab) {
      const session = await lab.session()
      const { id, reply } = await session.take('lost')
      const holder = { fencingToken: reply.fencingToken + 7, info: INFO }
      await lab.store.release('lost', id)
      assert.equal((await lab.store.renew('lost', id, LONG_MS, holder)).status, 'lost')
      await lab.assertFree('lost')
    },
  },
  {
    name: 'whoever comes after an exclusive holder has a larger token than that could have handed on with, told or not',
    async run(lab) {
      const [here, there] = [await lab.session(), await lab.session(lab.peer)]
      const free = await here.take('time')
      await assertBeyond(
        lab,
        free.reply,
        () => lab.store.release('time', free.id),
        async () => (await there.take('time')).reply,
      )
      const [held] = await lab.held('time')
      const waiters = [await here.wait('time'), await there.wait('time')] as const
      await lab.store.release('time', held!.id)
      const { grant } = await here.hears(waiters[0].id)
      await assertBeyond(
        lab,
        grant,
        () => lab.store.release('time', waiters[0].id),
        async () => (await there.hears(waiters[1].id)).grant,
      )
      await lab.store.forceRelease('time')
      const forced = await here.take('time')
      await assertBeyond(
        lab,
        forced.reply,
        () => lab.store.forceRelease('time'),
        async () => (await there.take('time')).reply,
      )
    },
  },
  {
    name: 'larger tokens are not the holder’s own where its token is ahead of the time, or whoever comes next goes beyond them all the same',
    async run(lab) {
      const session = await lab.session()
      const first = await session.take('ahead')
      await lab.store.release('ahead', first.id, { fencingToken: first.reply.fencingToken + AHEAD })
      const second = await session.take('ahead')
      const next = async () => (await session.take('ahead')).reply
      await assertBeyond(lab, second.reply, () => lab.store.release('ahead', second.id), next)
    },
  },
  {
    name: 'behind the token of a counted grant there are fifteen that nobody else gets',
    async run(lab) {
      const session = await lab.session()
      const tokens: number[] = []
      const note = ({ fencingToken, canHandOn }: Grant) => {
        const last = tokens.at(-1)
        if (last !== undefined) assert.ok(fencingToken > last, `${fencingToken} after ${last}`)
        tokens.push(canHandOn === true ? fencingToken + SPARE_TOKENS : fencingToken)
      }
      const readers = await Promise.all(Array.from({ length: 10 }, () => session.take('spare', READER)))
      for (const reader of readers) note(reader.reply)
      // One after the other, pushed grants, and whoever comes behind them all.
      const writer = await session.wait('spare')
      const more = [await session.wait('spare', READER), await session.wait('spare', READER)]
      await Promise.all(readers.map((reader) => lab.store.release('spare', reader.id)))
      note((await session.hears(writer.id)).grant)
      await lab.store.release('spare', writer.id)
      for (const reader of more) note((await session.hears(reader.id)).grant)
      await Promise.all(more.map((reader) => lab.store.release('spare', reader.id)))
      note((await session.take('spare')).reply)
      assert.equal(tokens.length, 14)
    },
  },
  {
    name: 'a waiter that asks again is shown as it is then, at the place that it has',
    async run(lab) {
      const session = await lab.session()
      const holder = await session.take('again')
      const first = await session.wait('again', { info: 'first' })
      const last = await session.wait('again', { info: 'last' })
      await lab.pass(10)
      const request = { ...first.request, ticket: first.reply.ticket, info: INFO }
      const { reply } = await session.send(request)
      assert.equal(reply.status, 'waiting')
      assert.deepEqual(
        (await lab.pending('again')).map(({ id, info, position }) => [id, info, position]),
        [
          [first.id, INFO, 1],
          [last.id, 'last', 2],
        ],
      )
      await lab.store.release('again', holder.id)
      await session.hears(first.id)
      assert.deepEqual(
        (await lab.held('again')).map(({ id, info }) => [id, info]),
        [[first.id, INFO]],
      )
    },
  },
]
