import { expect, test } from 'vitest'
import { IN_ORDER } from '../support/mode.mjs'
import { KEEPS_DATA, type Lab, useLabs, VIAS } from './lab.js'
import { HARMLESS, RESTART_WITHOUT } from './outages.js'

/** S1, S2, C4, with a hundred claims of three kinds of clients in the queue: all are granted, one after the other. */

const openLab = useLabs()
/** A hundred claims are some work for a busy machine. */
const SLOW = { timeout: 60_000 }
const CLAIMS = 100

interface Queue {
  /** The ids of the claims in the order of the server's queue. */
  readonly ids: readonly string[]
  readonly tokens: readonly number[]
  /** Lets the critical sections end; until then the first to enter stays. */
  open(): void
  /** Resolves to the ids in the order in which they entered. */
  done(): Promise<string[]>
  /** Gives the lock up that they all wait for. */
  release(): Promise<unknown>
}

/** A held lock, and claims that wait for it through every kind of client. */
async function queue(lab: Lab): Promise<Queue> {
  const holder = await lab.locksmith()
  const locksmiths = await Promise.all(VIAS.map((via) => lab.locksmith({ via, ...IN_ORDER })))
  await lab.warmUp(...locksmiths)
  const lock = await holder.acquire(lab.name)
  const tokens: number[] = [lock.fencingToken]
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  let inside = 0
  const claims = Array.from({ length: CLAIMS }, (_, i) =>
    locksmiths[i % VIAS.length]!.using(lab.name, async ({ fencingToken }) => {
      expect(++inside).toBe(1)
      tokens.push(fencingToken)
      await gate
      inside--
    }),
  )
  await lab.diary.seen('waiting', CLAIMS, SLOW.timeout)
  const ids = await lab.waiters()
  expect(ids).toHaveLength(CLAIMS)
  return {
    ids,
    tokens,
    open,
    async done() {
      await Promise.all(claims)
      expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
      const [, ...granted] = lab.diary.all('granted').map(({ message }) => message.id as string)
      return granted
    },
    release: () => lock.release(),
  }
}

/** All four listen again: a release finds them. */
const backAgain = (lab: Lab) => lab.inboxesAre(VIAS.length + 1, SLOW.timeout)

test.concurrent.for(HARMLESS)('$what: the order is kept', SLOW, async ({ happens }, context) => {
  const lab = await openLab(context, { args: KEEPS_DATA })
  const { ids, open, done, release } = await queue(lab)
  await happens(lab)
  await backAgain(lab)
  expect(await lab.waiters()).toEqual(ids)
  open()
  expect(await release()).toEqual({ released: true })
  expect(await done()).toEqual(ids)
})

test.concurrent(
  'a restart without its data: whoever comes back first enters, all others in the order that they had',
  SLOW,
  async (context) => {
    const lab = await openLab(context, {})
    const { ids, open, done, release } = await queue(lab)
    await RESTART_WITHOUT.happens(lab)
    await lab.waitersAre(CLAIMS - 1, SLOW.timeout)
    const [first] = await lab.holders()
    expect(await lab.waiters()).toEqual(ids.filter((id) => id !== first))
    expect(await release()).toEqual({ released: false, reason: 'lost' })
    open()
    expect(await done()).toEqual([first, ...ids.filter((id) => id !== first)])
  },
)

test.concurrent('CLIENT KILL of all again and again, while the lock goes round: everybody gets it once', SLOW, async (context) => {
  const lab = await openLab(context, {})
  const { ids, open, done, release } = await queue(lab)
  open()
  expect(await release()).toEqual({ released: true })
  for (let granted = 10; granted < CLAIMS; granted += 15) {
    await lab.diary.seen('granted', granted, SLOW.timeout)
    await lab.redis.killClients()
  }
  expect((await done()).sort()).toEqual([...ids].sort())
  expect(lab.diary.all('released').map(({ message }) => message.released)).toEqual(Array(CLAIMS + 1).fill(true))
  expect(lab.diary.all('lost')).toEqual([])
})
