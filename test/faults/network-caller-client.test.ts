import { expect, test } from 'vitest'
import { listenerCounts } from '../support/leaks.js'
import type { Raw } from '../support/libraries.js'
import { abortedBefore, endOf, failure, type Lab, useLabs, type Via, within } from './lab.js'

/** C9: a client that its owner handed over, and closes; and what is left of us in it when we are closed. */

const openLab = useLabs()
type Theirs = Exclude<Via, 'our own connection'>
const THEIRS: readonly Theirs[] = ['ioredis 6', 'redis 6']

/** The ways in which an owner ends a client, the polite ones first. */
const ENDINGS: Record<Theirs, Record<string, (client: Raw) => unknown>> = {
  'ioredis 6': { quit: (client) => client.quit(), disconnect: (client) => client.disconnect() },
  'redis 6': { close: (client) => client.close(), destroy: (client) => client.destroy() },
}
const CASES = THEIRS.flatMap((via) => Object.keys(ENDINGS[via]).map((ending) => ({ via, ending })))

const CLOSED = /closed|gave up/

for (const { via, ending } of CASES) {
  const end = (client: Raw) => ENDINGS[via][ending]?.(client)

  test.concurrent(`${via}, ${ending}(): held is unknown and then lost, who waits is told why, and so is who comes`, async (context) => {
    const lab = await openLab(context)
    const ttlMs = 2_000
    const client = await lab.client(via)
    const [locksmith, other] = [await lab.locksmith({ client, ttlMs }), await lab.locksmith({ direct: true })]
    const mine = await locksmith.acquire(lab.name)
    const { signal } = mine
    const theirs = await other.acquire(`their ${lab.name}`)
    const waiting = failure(locksmith.acquire(theirs.name))
    await lab.eventually(async () => expect(await lab.waiters(theirs.name)).toHaveLength(1))
    // Its first ask is answered, too.
    await locksmith.query()

    await end(client)
    const { message } = await lab.diary.seen('unknown')
    expect((message.error as Error).message).toMatch(CLOSED)
    mine.assertHeld()
    const reason = await abortedBefore(signal, endOf(performance.now() + mine.remainingMs, ttlMs))
    expect(reason).toMatchObject({ code: 'LOCK_LOST', key: lab.name })
    expect(await mine.release()).toEqual({ released: false, reason: 'lost' })

    for (const claim of [waiting, failure(locksmith.acquire(lab.name)), failure(locksmith.tryAcquire(lab.name))]) {
      const error = await within(5_000, claim)
      expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringMatching(CLOSED) })
      expect(error.cause).toBeInstanceOf(Error)
    }
    await within(5_000, locksmith.close())
    await lab.inboxesAre(1)
    await theirs.release()
  })

  test.concurrent(`${via}, ${ending}(), before it is used: told at once`, async (context) => {
    const lab = await openLab(context)
    const client = await lab.client(via)
    const locksmith = await lab.locksmith({ client })
    await end(client)
    const error = await within(5_000, failure(locksmith.acquire(lab.name)))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringMatching(CLOSED) })
  })
}

test.concurrent.for(THEIRS)('%s: a release that comes after the client was closed says that it could not be done', async (via, context) => {
  const lab = await openLab(context)
  const client = await lab.client(via)
  const locksmith = await lab.locksmith({ client, ttlMs: 3_000 })
  const lock = await locksmith.acquire(lab.name)
  await ENDINGS[via][via === 'redis 6' ? 'destroy' : 'disconnect']?.(client)
  const error = await within(5_000, failure(lock.release()))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name, message: expect.stringMatching(CLOSED) })
})

async function ping(client: Raw, via: Theirs): Promise<unknown> {
  return via === 'redis 6' ? client.sendCommand(['PING']) : client.call('PING')
}

/** One listener stays on a node-redis client, for an event without a name: see src/clients/node-redis.ts. */
const namedListeners = (client: Raw) =>
  Object.fromEntries(Object.entries(listenerCounts(client)).filter(([event]) => !event.startsWith('Symbol(')))

/** What the owner has of its own on it. */
function usedByItsOwner(client: Raw): { heard: string[]; subscribe(): Promise<void> } {
  const heard: string[] = []
  const hear = (text: string) => void heard.push(text)
  return { heard, subscribe: async () => void (await client.subscribe('news', hear)) }
}

test.concurrent.for(THEIRS)('%s: closing the locksmith leaves the client as it was', async (via, context) => {
  const lab = await openLab(context, {})
  const client = await lab.client(via)
  const own = via === 'redis 6' ? usedByItsOwner(client) : undefined
  await own?.subscribe()
  const listeners = namedListeners(client)
  const connections = (await lab.redis.clientList()).length

  const [locksmith, second] = [await lab.locksmith({ client }), await lab.locksmith({ client })]
  const lock = await locksmith.acquire(lab.name)
  const waiting = failure(locksmith.acquire(lab.name))
  const [thirds] = [await second.acquire(`second ${lab.name}`)]
  await lab.diary.seen('waiting')
  await locksmith.close()
  expect(await waiting).toMatchObject({ code: 'LOCK_CLOSED' })
  expect(lock.state).toBe('released')

  // The other one that uses the client goes on, and then that is closed as well.
  expect(await thirds.release()).toEqual({ released: true })
  await second.close()
  expect(await ping(client, via)).toBe('PONG')
  await lab.eventually(async () => expect(await lab.redis.clientList()).toHaveLength(connections))
  await lab.inboxesAre(0)
  expect(namedListeners(client)).toEqual(listeners)
  await lab.redis.command('PUBLISH', 'news', 'hello')
  if (own) await lab.eventually(async () => expect(own.heard).toEqual(['hello']))
})

test.concurrent.for(THEIRS)('%s: the client of a closed locksmith serves the next one', async (via, context) => {
  const lab: Lab = await openLab(context, {})
  const client = await lab.client(via)
  const tokens: number[] = []
  for (let i = 0; i < 3; i++) {
    const locksmith = await lab.locksmith({ client })
    const lock = await locksmith.acquire(lab.name)
    const waiting = locksmith.acquire(lab.name)
    await lab.diary.seen('waiting', i + 1)
    await lock.release()
    tokens.push(lock.fencingToken, (await waiting).fencingToken)
    await locksmith.close()
    await lab.redis.killClients()
  }
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
})
