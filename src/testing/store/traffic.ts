/** Many claims at once: no more permits than there are, none lost, everybody gets a turn. */

import assert from 'node:assert/strict'
import { type Claimed, counted, type Lab, type Overrides, READER, type Session, type StoreCase, type Waiting } from './lab.js'

/** A small generator of numbers from 0 to 1, the same at each run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What is in use at present, as those know who use it. */
class Usage {
  readers = 0
  writers = 0
  permits = 0
  grants = 0

  constructor(
    private readonly most: number,
    private readonly tokens = new Set<number>(),
  ) {}

  enter(claim: Overrides, token: number): void {
    this.grants += 1
    assert.ok(!this.tokens.has(token), `the token ${token} was given twice`)
    this.tokens.add(token)
    this.add(claim, 1)
    assert.ok(this.permits <= this.most, `${this.permits} permits of ${this.most} are in use`)
    assert.ok(this.writers === 0 || (this.writers === 1 && this.readers === 0), `${this.writers} writers and ${this.readers} others hold`)
  }

  add(claim: Overrides, sign: 1 | -1): void {
    if (claim.mode === 'counted') {
      this.readers += sign
      this.permits += sign * (claim.permits ?? 1)
    } else {
      this.writers += sign
    }
  }
}

/** Takes a turn: waits if it must, holds for some turns of the event loop, lets go. */
async function takeTurn(lab: Lab, session: Session, name: string, claim: Overrides, usage: Usage, random: () => number): Promise<void> {
  const { request, id, reply } = await session.ask(name, claim)
  let token: number
  if (reply.status === 'waiting') {
    if (random() < 0.2) {
      // Gives up; a grant may be on its way.
      await lab.store.release(name, id, { withdraw: true })
      return
    }
    token = (await session.enters({ request, id, reply } as Claimed<Waiting>)).fencingToken
  } else {
    assert.equal(reply.status, 'granted')
    token = reply.status === 'granted' ? reply.fencingToken : Number.NaN
  }
  usage.enter(claim, token)
  for (let turn = Math.floor(random() * 4); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve))
  usage.add(claim, -1)
  // Anybody may release it; where several servers hear of that in another order than of the claim, one of them would keep it for a lease.
  const releasing = lab.harness.asksRegularly ? session.store : lab.store
  assert.equal((await releasing.release(name, id)).status, 'released')
}

async function runTraffic(lab: Lab, seed: number, most: number, pick: (random: () => number) => Overrides): Promise<void> {
  const random = seeded(seed)
  const usage = new Usage(most)
  const sessions = await Promise.all(Array.from({ length: 6 }, (_, i) => lab.session(i % 2 === 0 ? lab.store : lab.peer)))
  const turns = sessions.map(async (session) => {
    for (let i = 0; i < 20; i++) await takeTurn(lab, session, 'busy', pick(random), usage, random)
  })
  await Promise.all(turns)
  assert.ok(usage.grants > 60, `${usage.grants} grants`)
  await lab.assertFree('busy')
}

export const trafficCases: StoreCase[] = [
  {
    name: 'no permit leaks: claims of several permits by several ids, again and again, leave everything free',
    needsLimits: true,
    async run(lab) {
      const [here, there] = [await lab.session(), await lab.session(lab.peer)]
      for (let round = 0; round < 20; round++) {
        const permits = 1 + (round % 3)
        const first = await here.take('leak', counted(permits, 5))
        const second = await there.take('leak', counted(5 - permits, 5))
        const third = await there.wait('leak', counted(permits, 5))
        await here.again(first)
        await lab.store.release('leak', first.id)
        await there.enters(third)
        await Promise.all([lab.peer.release('leak', second.id), lab.store.release('leak', first.id), lab.peer.release('leak', third.id)])
        const all = await here.take('leak', counted(5, 5))
        await lab.store.release('leak', all.id)
      }
      await lab.assertFree('leak')
    },
  },
  { name: 'writers in a crowd hold one at a time', run: (lab) => runTraffic(lab, 1, 0, () => ({})) },
  {
    name: 'a semaphore in a crowd gives what it has and no more',
    needsLimits: true,
    run: (lab) => runTraffic(lab, 2, 4, (random) => counted(1 + Math.floor(random() * 3), 4)),
  },
  {
    name: 'readers and writers in a crowd never meet',
    run: (lab) =>
      runTraffic(lab, 3, Number.POSITIVE_INFINITY, (random) => (random() < 0.3 ? {} : { ...READER, priority: random() < 0.1 ? 1 : 0 })),
  },
]
