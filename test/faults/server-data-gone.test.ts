import { expect, test } from 'vitest'
import { failure, keys, type Lab, useLabs, VIAS } from './lab.js'

/** S3: somebody deletes what the library keeps in the server, all of it or one key. An eviction does the same. */

const openLab = useLabs()

const DELETIONS: Record<string, (lab: Lab) => Promise<unknown>> = {
  FLUSHALL: ({ redis }) => redis.flush(),
  'DEL of the state': ({ redis, name }) => redis.command('DEL', keys.stateKey(name)),
}

for (const [what, happens] of Object.entries(DELETIONS)) {
  test.concurrent.for(VIAS)(`${what}, %s: the next renewal tells of the loss, and nothing is created again`, async (via, context) => {
    const lab = await openLab(context)
    const ttlMs = 3_000
    const locksmith = await lab.locksmith({ via, ttlMs })
    const lock = await locksmith.acquire(lab.name)
    const { signal } = lock
    const deadlineMs = performance.now() + lock.remainingMs
    await happens(lab)
    expect((await lab.diary.seen('lost')).atMs).toBeLessThan(deadlineMs - ttlMs / 2)
    expect(signal.reason).toMatchObject({ code: 'LOCK_LOST', key: lab.name })
    expect(signal.reason.message).toContain('the server no longer has it')
    expect(await failure(lock.extend())).toBe(signal.reason)
    expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
    expect(await lab.redis.keys()).toEqual([])
    expect((await locksmith.acquire(lab.name)).fencingToken).toBeGreaterThan(lock.fencingToken)
  })
}

test.concurrent('an extension or a release that comes before the next renewal tells of it too', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith()
  const [extended, released] = [await locksmith.acquire('a'), await locksmith.acquire('b')]
  await lab.redis.flush()
  const error = await failure(extended.extend())
  expect(error).toMatchObject({ code: 'LOCK_LOST', key: 'a' })
  expect(extended.signal.reason).toBe(error)
  expect(await released.release()).toEqual({ released: false, reason: 'lost' })
  expect(released.signal.aborted).toBe(true)
  expect(await lab.redis.keys()).toEqual([])
})

test.concurrent('one of several names: the whole lock is lost', async (context) => {
  const lab = await openLab(context)
  const locksmith = await lab.locksmith({ ttlMs: 1_500 })
  const names = [lab.name, `second ${lab.name}`]
  const lock = await locksmith.acquire(names)
  const { signal } = lock
  await lab.redis.command('DEL', keys.stateKey(lab.name))
  await lab.diary.seen('lost')
  expect(signal.reason).toMatchObject({ code: 'LOCK_LOST', key: lab.name })
  expect(lock.state).toBe('lost')
  expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
})

const KEYS = ['', ':queue', ':waiters']
for (const deleted of [[''], [':queue'], [':waiters'], [':queue', ':waiters'], KEYS]) {
  const what = deleted.map((end) => `<name>${end}`).join(' and ')
  test.concurrent(`${what} deleted while five wait: all get the lock, and the next to come find it in order`, async (context) => {
    const lab = await openLab(context)
    const [locksmith, other] = [await lab.locksmith(), await lab.locksmith()]
    const held = await other.acquire(lab.name)
    let inside = 0
    const claims = Array.from({ length: 5 }, () =>
      locksmith.using(lab.name, async ({ fencingToken }) => {
        expect(++inside).toBe(1)
        await lab.redis.command('PING')
        inside--
        return fencingToken
      }),
    )
    await lab.diary.seen('waiting', 5)
    await lab.redis.command('DEL', ...deleted.map((end) => keys.stateKey(lab.name) + end))
    // They look again every two seconds, and find that the lock is there for the taking, or that they are not in the queue any more.
    await lab.waitersAre(deleted.includes('') ? 0 : 5)
    expect(await held.release()).toEqual(deleted.includes('') ? { released: false, reason: 'lost' } : { released: true })
    const tokens = await Promise.all(claims)
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
    expect(await lab.redis.keys()).toEqual([keys.stateKey(lab.name)])

    const first = await other.acquire(lab.name)
    const second = locksmith.acquire(lab.name, { waitMs: 2_000 })
    await lab.diary.seen('waiting', 6)
    await first.release()
    await (await second).release()
  })
}
