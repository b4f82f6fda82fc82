import { expect, test } from 'vitest'
import { carries, keys, type Lab, useLabs, VIAS } from './lab.js'

/** C10: on the channels of the library others say what they like. */

const openLab = useLabs()

/** What nobody may believe, said to a session that holds one claim and waits with another. */
function forgeries(session: string, held: string, waiting: string): (string | Buffer)[] {
  const grant = (id: string, token: unknown = 1, at: unknown = Date.now(), leaseMs: unknown = 5_000) => `g ${id} ${token} ${at} ${leaseMs}`
  return [
    '',
    ' ',
    'g',
    'c',
    'hello',
    '{"type":"grant"}',
    `g ${waiting}`,
    `g ${waiting} 1 ${Date.now()}`,
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
    `c ${'x'.repeat(1_000)}`,
    `*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n`,
    'x'.repeat(5_000_000),
    grant(waiting).padEnd(1_000_000),
    Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0d, 0x0a]),
    Buffer.concat([Buffer.from(`g ${waiting} `), Buffer.from([0xc3, 0x28])]),
  ]
}

async function open(lab: Lab, via: (typeof VIAS)[number]) {
  const [locksmith, other] = [await lab.locksmith({ via }), await lab.locksmith({ direct: true })]
  const mine = await locksmith.acquire(`mine ${lab.name}`)
  const [held] = (await lab.holders(mine.name)) as [string]
  const theirs = await other.acquire(lab.name)
  const waiting = locksmith.acquire(lab.name)
  await lab.diary.seen('waiting')
  const [id] = (await lab.waiters()) as [string]
  const session = id.slice(0, id.indexOf('.'))
  /** Says it, and resolves when the locksmith has heard it: it checks the claim that is named in a message behind it. */
  const say = async (messages: readonly (string | Buffer)[]) => {
    for (const message of messages) expect(await lab.redis.command('PUBLISH', keys.inbox(session), message)).toBe(1)
    const checked = lab.proxy.onCommand(carries('R', mine.name), 'pass', { times: 1 })
    await lab.redis.command('PUBLISH', keys.inbox(session), `c ${held}`)
    await checked.hit()
  }
  return { mine, theirs, waiting, ids: [session, held, id] as const, say }
}

test.concurrent.for(VIAS)('%s: malformed and false messages are ignored', async (via, context) => {
  const lab = await openLab(context)
  const { mine, theirs, waiting, ids, say } = await open(lab, via)
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

test.concurrent('ten thousand of them hold nobody up', async (context) => {
  const lab = await openLab(context)
  const { mine, theirs, waiting, ids, say } = await open(lab, 'our own connection')
  const [session, held, id] = ids
  const flood = Array.from({ length: 10_000 }, (_, i) => `g ${session}.${i.toString(36)}0 ${i} ${Date.now()} 5000`)
  const publisher = await lab.redis.connect()
  await Promise.all(flood.map((message) => publisher.command('PUBLISH', keys.inbox(session), message)))
  // Even true ones, again and again: each asks, and that changes nothing.
  await Promise.all(Array.from({ length: 100 }, () => publisher.command('PUBLISH', keys.inbox(session), `c ${id}`)))
  await say([`c ${held}`])
  mine.assertHeld()
  expect(await lab.waiters()).toEqual([id])
  await theirs.release()
  await (await waiting).release()
})

test.concurrent('other channels, and other sessions, hear nothing that matters', async (context) => {
  const lab = await openLab(context)
  const { mine, theirs, waiting, ids, say } = await open(lab, 'our own connection')
  const [, , id] = ids
  for (const channel of [keys.inboxPrefix, keys.inbox('other'), keys.stateKey(lab.name), '__halocksmith:inbox', '*']) {
    expect(await lab.redis.command('PUBLISH', channel, `g ${id} 1 ${Date.now()} 5000`)).toBe(0)
  }
  await say([])
  expect(await lab.waiters()).toEqual([id])
  await theirs.release()
  await (await waiting).release()
  await mine.release()
})
