import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, onTestFinished, test } from 'vitest'
import { failure, type Lab, useLabs, VIAS, within } from './lab.js'

/** S4, S5: the server has no memory left, and refuses writes or throws keys away. */

const openLab = useLabs()

const noMemory = (lab: Lab) => lab.redis.command('CONFIG', 'SET', 'maxmemory', 1)
const memoryAgain = (lab: Lab) => lab.redis.command('CONFIG', 'SET', 'maxmemory', 0)

test.concurrent.for(VIAS)('no memory, %s: an acquire is refused at once, in the words of the server', async (via, context) => {
  const lab = await openLab(context, {})
  const locksmith = await lab.locksmith({ via })
  await lab.warmUp(locksmith)
  await noMemory(lab)
  for (const options of [{ waitMs: 60_000 }, { waitMs: 0 }, {}]) {
    const error = await within(5_000, failure(locksmith.acquire(lab.name, options)))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
    expect(error.message).toContain("OOM command not allowed when used memory > 'maxmemory'")
  }
  await memoryAgain(lab)
  expect(await (await locksmith.acquire(lab.name)).release()).toEqual({ released: true })
})

test.concurrent.for(VIAS)('no memory, %s: a release works, and lets the next one in', async (via, context) => {
  const lab = await openLab(context, {})
  const [locksmith, other] = [await lab.locksmith({ via }), await lab.locksmith()]
  const lock = await locksmith.acquire(lab.name)
  const alone = await locksmith.acquire(`alone ${lab.name}`)
  const waiting = other.acquire(lab.name)
  await lab.diary.seen('waiting')
  await noMemory(lab)
  expect(await alone.release()).toEqual({ released: true })
  expect(await lock.release()).toEqual({ released: true })
  const next = await waiting
  expect(next.fencingToken).toBeGreaterThan(lock.fencingToken)
  expect(await next.release()).toEqual({ released: true })
  await memoryAgain(lab)
})

test.concurrent('no memory: who gives up leaves the queue', async (context) => {
  const lab = await openLab(context, {})
  const [locksmith, other] = [await lab.locksmith(), await lab.locksmith()]
  const lock = await locksmith.acquire(lab.name)
  const aborting = new AbortController()
  const waiting = failure(other.acquire(lab.name, { signal: aborting.signal }))
  await lab.diary.seen('waiting')
  await noMemory(lab)
  aborting.abort(new Error('not any more'))
  expect(await waiting).toBe(aborting.signal.reason)
  await lab.waitersAre(0)
  expect(await lock.release()).toEqual({ released: true })
  await memoryAgain(lab)
})

test.concurrent.for(VIAS)('no memory, %s: what is held is kept', async (via, context) => {
  const lab = await openLab(context, {})
  const locksmith = await lab.locksmith({ via, ttlMs: 4_000 })
  const shared = `shared ${lab.name}`
  const semaphore = locksmith.semaphore(shared, 2)
  const locks = [await locksmith.acquire(lab.name), await semaphore.acquire(), await semaphore.acquire({ ttlMs: 5_000 })]
  await noMemory(lab)
  const renewals = [lab.name, shared].map((name) => lab.proxy.onCommand(lab.carries('R', name), 'pass'))
  await Promise.all([renewals[0]?.hit(1), renewals[1]?.hit(2)])
  // The answers to the renewals come before this one.
  await locksmith.query({ name: lab.name })
  for (const lock of locks) expect(lock.state).toBe('held')
  for (const lock of locks) expect(await lock.release()).toEqual({ released: true })
  await memoryAgain(lab)
})

/** The warnings of one locksmith, as a subscriber to the channel and as the process gets them. */
function warnings() {
  const [published, emitted]: [string[], (Error & { code?: string })[]] = [[], []]
  const hear = (message: unknown) => void published.push((message as { code: string }).code)
  const warn = (warning: Error) => void (warning.name === 'HalocksmithWarning' && emitted.push(warning))
  subscribe('halocksmith:warning', hear)
  process.on('warning', warn)
  onTestFinished(() => {
    unsubscribe('halocksmith:warning', hear)
    process.removeListener('warning', warn)
  })
  return { published, emitted }
}

// Not concurrent: warnings are those of the process.
test.for(['allkeys-lru', 'allkeys-random', 'volatile-lru', 'volatile-ttl'])('%s: warned of once', async (policy, context) => {
  const lab = await openLab(context, { args: ['--maxmemory', '64mb', '--maxmemory-policy', policy] })
  const { published, emitted } = warnings()
  const locksmith = await lab.locksmith()
  await lab.warmUp(locksmith)
  await lab.eventually(async () => expect(emitted).toHaveLength(1))
  expect(emitted[0]?.code).toBe('HALOCKSMITH_EVICTION')
  expect(emitted[0]?.message).toContain(policy)
  await lab.redis.killClients()
  await lab.warmUp(locksmith, locksmith)
  await locksmith.query()
  expect(published).toEqual(['EVICTION'])
  expect(emitted).toHaveLength(1)
})

const HARMLESS = ['--maxmemory 64mb --maxmemory-policy noeviction', '--maxmemory-policy allkeys-lru']
test.for(HARMLESS)('%s: no warning', async (settings, context) => {
  const lab = await openLab(context, { args: settings.split(' ') })
  const { published, emitted } = warnings()
  const locksmith = await lab.locksmith()
  const { calls } = await lab.redis.countCommands(async () => {
    await lab.warmUp(locksmith)
    await locksmith.query()
  })
  // What it is, and what becomes of its keys.
  expect(calls.info).toBe(2)
  expect([published, emitted]).toEqual([[], []])
})

test('a lock that was evicted is lost, and the next renewal says so', async (context) => {
  const lab = await openLab(context, { args: ['--maxmemory-policy', 'allkeys-lru'] })
  const locksmith = await lab.locksmith({ ttlMs: 4_000 })
  const lock = await locksmith.acquire(lab.name)
  const { signal } = lock
  await noMemory(lab)
  expect(await lab.redis.keys()).toEqual([])
  await memoryAgain(lab)
  await lab.diary.seen('lost')
  expect(signal.reason).toMatchObject({ code: 'LOCK_LOST' })
  expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
})
