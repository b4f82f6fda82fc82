import { expect, test } from 'vitest'
import type { HeldLock } from '../../src/primitives/held-lock.js'
import { sessionOf } from '../../src/store/redis/inbox.js'
import { IN_ORDER } from '../support/mode.mjs'
import { type Lab, type LabLocksmithOptions, useLabs, VIAS, type Via } from './lab.js'

/** C5, C10: what tells a waiter of its grant is lost, comes twice, in another order, or late; or it is not from the library at all. */

const openLab = useLabs()

/** The shorter the lease, the more often a waiter looks: twice per lease, in which a grant stands. */
const TTL_MS = 2_000

async function open(lab: Lab, options?: LabLocksmithOptions) {
  const [locksmith, other] = [await lab.locksmith({ ttlMs: TTL_MS, ...IN_ORDER, ...options }), await lab.locksmith({ direct: true })]
  await lab.warmUp(locksmith)
  return { locksmith, other, held: await other.acquire(lab.name) }
}

/** Has `count` claims wait, and resolves to the order in which they entered, one at a time, when all have left. */
async function goRound(lab: Lab, options: LabLocksmithOptions, count: number): Promise<number[]> {
  const { locksmith, held } = await open(lab, options)
  const entered: number[] = []
  const tokens = [held.fencingToken]
  let inside = 0
  const claims = Array.from({ length: count }, (_, i) =>
    locksmith.using(lab.name, async ({ fencingToken }) => {
      expect(++inside).toBe(1)
      entered.push(i)
      tokens.push(fencingToken)
      await lab.redis.command('PING')
      inside--
    }),
  )
  await lab.diary.seen('waiting', count)
  expect(await held.release()).toEqual({ released: true })
  await Promise.all(claims)
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
  expect(lab.diary.all('released').every(({ message }) => message.released)).toBe(true)
  return entered
}

test.concurrent.for(VIAS)('%s: all are lost: everybody enters in turn, a little later', async (via, context) => {
  const lab = await openLab(context)
  lab.proxy.dropPushes()
  expect(await goRound(lab, { via }, 3)).toEqual([0, 1, 2])
  expect(lab.proxy.pushes.dropped).toBe(3)
})

test.concurrent.for(VIAS)('%s: all come three times: everybody enters once', async (via, context) => {
  const lab = await openLab(context)
  lab.proxy.duplicatePushes(3)
  expect(await goRound(lab, { via }, 20)).toEqual(Array.from({ length: 20 }, (_, i) => i))
})

test.concurrent.for(VIAS)('%s: all are late, but not too late: everybody enters', async (via, context) => {
  const lab = await openLab(context)
  lab.proxy.delayPushes(100)
  expect(await goRound(lab, { via }, 5)).toEqual([0, 1, 2, 3, 4])
})

for (const order of ['kept', 'reversed'] as const) {
  test.concurrent.for(VIAS)(`%s: when they come after all, order ${order}, nothing changes`, async (via, context) => {
    const lab = await openLab(context)
    const { locksmith, held } = await open(lab, { via, ttlMs: 4_000 })
    lab.proxy.holdPushes()
    const claims = [0, 1].map(() => locksmith.acquire(lab.name))
    await lab.diary.seen('waiting', 2)
    await held.release()
    await (await claims[0])?.release()
    const last = (await claims[1]) as HeldLock
    const { signal } = last
    expect(lab.proxy.heldPushes).toBe(2)
    lab.proxy.releasePushes(order)
    // It checks a claim that is named in a message; this one comes behind them.
    const checked = lab.proxy.onCommand(lab.carries('R'), 'pass')
    const [id] = (await lab.holders()) as [string]
    await lab.redis.command('PUBLISH', lab.keys.inbox(sessionOf(id)), `c ${id}`)
    await checked.hit()
    last.assertHeld()
    expect(signal.aborted).toBe(false)
    expect(await lab.holders()).toHaveLength(1)
    expect(await last.release()).toEqual({ released: true })
    expect(lab.diary.all('granted')).toHaveLength(3)
  })
}

test.concurrent.for(VIAS)('%s: a grant that comes when another holds the lock is not used', async (via, context) => {
  const lab = await openLab(context)
  const { locksmith, other, held } = await open(lab, { via, ttlMs: 1_000 })
  let letThrough = (_: 'pass'): void => {}
  const asksPass = new Promise<'pass'>((resolve) => (letThrough = resolve))
  let entered = false
  const waiting = locksmith.acquire(lab.name).then((lock) => {
    entered = true
    return lock
  })
  await lab.diary.seen('waiting')
  lab.proxy.holdPushes()
  const asked = lab.proxy.onCommand(lab.carries('A'), () => asksPass)
  await held.release()
  const { token } = await lab.state()
  // Its grant ends unseen, and somebody else enters.
  const between = await other.acquire(lab.name)
  expect(between.fencingToken).toBeGreaterThan(Number(token))
  expect(lab.proxy.heldPushes).toBe(1)
  lab.proxy.releasePushes()
  await asked.hit()
  letThrough('pass')
  await lab.waitersAre(1)
  expect(entered).toBe(false)
  expect(await lab.holders()).toHaveLength(1)
  expect(await between.release()).toEqual({ released: true })
  expect((await waiting).fencingToken).toBeGreaterThan(between.fencingToken)
})

test.concurrent('a grant that was under way for a while is shorter by that', async (context) => {
  const lab = await openLab(context)
  const { locksmith, held } = await open(lab, { ttlMs: 30_000 })
  const remaining = locksmith.acquire(lab.name).then(({ remainingMs }) => remainingMs)
  await lab.diary.seen('waiting')
  lab.proxy.delayPushes(700)
  await held.release()
  // It is pushed for five seconds at first.
  expect(await remaining).toBeLessThanOrEqual(5_000 - 700)
})

test.concurrent('a connection for messages that has gone silent', async (context) => {
  const lab = await openLab(context)
  const { locksmith, held } = await open(lab, { via: 'ioredis 6' })
  const waiting = locksmith.acquire(lab.name)
  await lab.diary.seen('waiting')
  lab.proxy.blackHole(({ subscribed }) => subscribed)
  await held.release()
  const lock = await waiting
  expect(lock.fencingToken).toBeGreaterThan(held.fencingToken)
  expect(await lock.release()).toEqual({ released: true })
})

/** What nobody may believe, said to a session that holds one claim and waits with another. */
function forgeries(session: string, held: string, waiting: string): (string | Buffer)[] {
  const grant = (id: string, token: unknown = 1, at: unknown = Date.now(), leaseMs: unknown = 5_000) =>
    `g ${id} ${token} ${at} ${leaseMs} 0`
  return [
    '',
    ' ',
    'g',
    'c',
    'hello',
    '{"type":"grant"}',
    `g ${waiting}`,
    `g ${waiting} 1 ${Date.now()}`,
    `g ${waiting} 1 ${Date.now()} 5000`,
    `g ${waiting} 1 ${Date.now()} 5000 2`,
    `${grant(waiting)} 1`,
    `${grant(waiting)}\n`,
    `\n${grant(waiting)}`,
    grant(waiting).toUpperCase(),
    grant(`${session}.zzz`),
    grant(`${session}.`),
    grant(session),
    grant(`${'x'.repeat(22)}.1`),
    grant('x'.repeat(200)),
    grant('__proto__'),
    grant('constructor.1'),
    ...[-1, 1.5, '1e3', 'NaN', 'Infinity', '', '9'.repeat(17)].flatMap((wrong) => [
      grant(waiting, wrong),
      grant(waiting, 1, wrong),
      grant(waiting, 1, undefined, wrong),
    ]),
    // More than a number can be exactly; and leases that were over before they began.
    grant(waiting, '9999999999999999'),
    grant(waiting, 1, undefined, 0),
    grant(waiting, 1, 0),
    // A token for what is held already.
    grant(held),
    `c ${session}.zzz`,
    'c other.1',
    'o other.1',
    `o ${session}.zzz`,
    'o',
    `c ${'x'.repeat(1_000)}`,
    `*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n`,
    'x'.repeat(5_000_000),
    grant(waiting).padEnd(1_000_000),
    Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0d, 0x0a]),
    Buffer.concat([Buffer.from(`g ${waiting} `), Buffer.from([0xc3, 0x28])]),
  ]
}

async function openForged(lab: Lab, via: Via) {
  const [locksmith, other] = [await lab.locksmith({ via }), await lab.locksmith({ direct: true })]
  const mine = await locksmith.acquire(`mine ${lab.name}`)
  const [held] = (await lab.holders(mine.name)) as [string]
  const theirs = await other.acquire(lab.name)
  const waiting = locksmith.acquire(lab.name)
  await lab.diary.seen('waiting')
  const [id] = (await lab.waiters()) as [string]
  const session = sessionOf(id)
  /** Says it, and resolves when the locksmith has heard it: it checks the claim that is named in a message behind it. */
  const say = async (messages: readonly (string | Buffer)[]) => {
    for (const message of messages) expect(await lab.redis.command('PUBLISH', lab.keys.inbox(session), message)).toBe(1)
    const checked = lab.proxy.onCommand(lab.carries('R', mine.name), 'pass', { times: 1 })
    await lab.redis.command('PUBLISH', lab.keys.inbox(session), `c ${held}`)
    await checked.hit()
  }
  return { mine, theirs, waiting, ids: [session, held, id] as const, say }
}

test.concurrent.for(VIAS)('%s: malformed and false messages are ignored', async (via, context) => {
  const lab = await openLab(context)
  const { mine, theirs, waiting, ids, say } = await openForged(lab, via)
  const { signal } = mine
  let granted = false
  void waiting.then(() => (granted = true))
  await say(forgeries(...ids))
  expect(granted).toBe(false)
  expect(signal.aborted).toBe(false)
  mine.assertHeld()
  expect(await lab.waiters()).toEqual([ids[2]])

  expect(await theirs.release()).toEqual({ released: true })
  const lock = await waiting
  expect(lock.fencingToken).toBeGreaterThan(theirs.fencingToken)
  expect(await lock.release()).toEqual({ released: true })
  expect(await mine.release()).toEqual({ released: true })
})

test.concurrent('thousands of them hold nobody up', async (context) => {
  const lab = await openLab(context)
  const { mine, theirs, waiting, ids, say } = await openForged(lab, 'our own connection')
  const [session, held, id] = ids
  const flood = Array.from({ length: 3_000 }, (_, i) => `g ${session}.${i.toString(36)}0 ${i} ${Date.now()} 5000 0`)
  const publisher = await lab.redis.connect()
  await Promise.all(flood.map((message) => publisher.command('PUBLISH', lab.keys.inbox(session), message)))
  // Even true ones, again and again: each asks, and that changes nothing.
  await Promise.all(Array.from({ length: 100 }, () => publisher.command('PUBLISH', lab.keys.inbox(session), `c ${id}`)))
  await say([`c ${held}`])
  mine.assertHeld()
  expect(await lab.waiters()).toEqual([id])
  await theirs.release()
  await (await waiting).release()
})

test.concurrent('other channels, and other sessions, hear nothing that matters', async (context) => {
  const lab = await openLab(context)
  const { mine, theirs, waiting, ids, say } = await openForged(lab, 'our own connection')
  const [, , id] = ids
  for (const channel of [lab.keys.inboxPrefix, lab.keys.inbox('other'), lab.keys.stateKey(lab.name), `${lab.keys.prefix}inbox`, '*']) {
    expect(await lab.redis.command('PUBLISH', channel, `g ${id} 1 ${Date.now()} 5000 0`)).toBe(0)
  }
  await say([])
  expect(await lab.waiters()).toEqual([id])
  await theirs.release()
  await (await waiting).release()
  await mine.release()
})
