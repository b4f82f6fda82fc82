import { describe, expect, test } from 'vitest'
import { activeResources, listenerCounts, moreThan, trackResources } from '../support/leaks.js'
import { nodeRedis } from '../support/libraries.js'
import { useLocksmiths, waitersOf } from '../support/locksmiths.js'
import { useWorkers } from '../support/processes.js'
import { isLastToken, useRedis } from '../support/redis.js'
import { eventually, until } from '../support/until.js'

/** Memory, timers, listeners, subscriptions and keys grow with use and not with time. */

const redis = useRedis()
const spawnWorker = useWorkers()
const makeLocksmith = useLocksmiths(redis)

/** Far below the smallest thing that could be left of one lock or wait, and above what noise makes in thousands of them. */
const BYTES_EACH = 200

const NAME = '__halocksmith:'

describe('thousands of', () => {
  test.each([
    'locks of one name each',
    'locks of few names',
    'locks whose signal is looked at',
    'locks of the callback API',
    'attempts at a busy lock',
    'waits that time out',
    'waits that are aborted',
    'waits that share a signal',
  ])('%s leave nothing behind', async (scenario) => {
    const worker = spawnWorker('growth.cjs', {}, { execArgv: ['--expose-gc'], env: { REDIS_URL: redis.url, SCENARIO: scenario } })
    const { bytesEach, inside, newListeners, active } = await worker.next('done', 30_000)
    expect(bytesEach).toBeLessThan(BYTES_EACH)
    expect(inside).toEqual({ waiting: 0, names: 0, takingBack: 0, unwanted: 0, givenUp: true, leases: 0, due: 0, releasing: 0 })
    expect([newListeners, active]).toEqual([0, []])
    // Each of three locksmiths has a connection and an inbox of its own at most; the callback API's may not have been used.
    const clients = await redis.clientList()
    expect(clients.length).toBeLessThanOrEqual(3)
    expect(
      clients.map(({ sub }) => sub),
      JSON.stringify(clients),
    ).toEqual(clients.map(() => 1))
    worker.send({ type: 'close' })
    expect(await worker.exited).toEqual({ code: 0, signal: null })
    expect(worker.output).toBe('')
    expect(await redis.clientList()).toEqual([])
    expect(await redis.command('PUBSUB', 'CHANNELS', '*')).toEqual([])
    // A wait that was given up while its request was under way is remembered for half a minute, in case it comes late.
    const isMark = (field: string) => field === 'token' || field === 'gone' || field.includes('.')
    await redis.expectEmpty('', (left) => isLastToken(left) || (left.key === `${NAME}{taken}` && left.fields.every(isMark)))
  })
})

describe('in this process', () => {
  test('nothing that was begun goes on after close: timers, sockets, whether or not they keep the process alive', async () => {
    await makeLocksmith().using('warm-up', () => {})
    const before = activeResources()
    const tracker = trackResources()
    const [a, b] = [makeLocksmith(), makeLocksmith()]
    const held = await a.acquire('k')
    const waits = Array.from({ length: 50 }, (_, i) => b.acquire('k', { waitMs: i % 2 ? 60_000 : 20 }).catch((error) => error.code))
    await a.semaphore('s', 100).acquire({ ttlMs: 500 })
    for (let i = 0; i < 100; i++) await a.using(`k${i}`, () => {})
    await waitersOf(b, 'k', 25)
    await held.release()
    await Promise.all([a.close(), b.close()])
    await Promise.all(waits)
    await eventually(() => {
      const origins = Object.keys(tracker.alive()).flatMap((kind) => tracker.origins(kind))
      // The pause between two looks is a timer, too.
      expect(origins.filter((stack) => !stack.includes('until.ts'))).toEqual([])
    })
    tracker.stop()
    expect(moreThan(before, activeResources())).toEqual({})
  })

  test("a caller's client has no listener, subscription or connection of ours after many locksmiths", async () => {
    const client = await nodeRedis('redis-6', { socket: { host: redis.host, port: redis.port } })
    try {
      const before = listenerCounts(client)
      for (let i = 0; i < 20; i++) {
        const locksmith = makeLocksmith({ client })
        const lock = await locksmith.acquire('k')
        const waiting = locksmith.acquire('k')
        await lock.release()
        await (await waiting).release()
        await locksmith.close()
      }
      const more = Object.entries(moreThan(before, listenerCounts(client))).filter(([name]) => !name.startsWith('Symbol('))
      expect(more).toEqual([])
      expect(await redis.command('PUBSUB', 'CHANNELS', '*')).toEqual([])
      await until(async () => (await redis.clientList()).length === 1, { what: 'only the connection of the caller is left' })
    } finally {
      client.destroy()
    }
  })

  test('the process has no listener of ours', async () => {
    const before = listenerCounts(process)
    const locksmith = makeLocksmith()
    await locksmith.using('k', () => {})
    expect(listenerCounts(process)).toEqual(before)
  })
})

test('keys outlive their use by little more than an hour', async () => {
  const locksmith = makeLocksmith()
  const lock = await locksmith.acquire('k', { ttlMs: 24 * 3_600_000 })
  await locksmith.semaphore('s', 3).using(() => {})
  await lock.release()
  for (const { key, ttlMs } of await redis.leftovers()) {
    expect(ttlMs, key).toBeGreaterThan(3_000_000)
    expect(ttlMs, key).toBeLessThanOrEqual(4_200_000)
  }
  await redis.expectOnlyTokens()
})
