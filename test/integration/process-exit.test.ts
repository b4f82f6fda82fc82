import { describe, expect, test } from 'vitest'
import { useLocksmiths } from '../support/locksmiths.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'

/** A lock keeps no process alive, be it held or waited for; a request under way does, until it is answered. */

const redis = useRedis()
const spawnWorker = useWorkers()
const makeLocksmith = useLocksmiths(redis)

const run = (scenario: string) => spawnWorker('leaving.cjs', {}, { env: { REDIS_URL: redis.url, SCENARIO: scenario } })

describe('a process with nothing else to do ends by itself while it', () => {
  test.each([
    'has only made one',
    'holds',
    'holds several, with a short lease',
    'holds through the callback API',
    'waits',
    'waits with a limit',
    'waits for a server that is not there',
  ])('%s', async (scenario) => {
    await makeLocksmith().acquire('taken')
    const worker = run(scenario)
    const ready = await worker.next('ready')
    const exit = await worker.next('exit')
    expect(await worker.exited).toEqual({ code: 0, signal: null })
    expect(exit.atMs - ready.atMs).toBeLessThan(scenario.includes('not there') ? 4_000 : 2_500)
    expect(worker.output).toBe('')
  })

  test('and what it held ends with its lease, what it waited for goes to others', async () => {
    const locksmith = makeLocksmith()
    const worker = run('holds several, with a short lease')
    await worker.exited
    const lock = await locksmith.acquire(['k', 'l'], { waitMs: 5_000 })
    await expect(lock.release()).resolves.toEqual({ released: true })
  })
})

describe('a process is kept alive until it is done that', () => {
  test('acquires and releases', async () => {
    const worker = run('acquires and releases')
    expect(await worker.next('ready')).toMatchObject({ outcome: { released: true } })
    expect(await worker.exited).toEqual({ code: 0, signal: null })
    await redis.expectOnlyTokens()
  })

  test('uses everything once', async () => {
    await makeLocksmith().acquire('taken')
    const worker = run('uses everything once')
    expect((await worker.next('ready')).results).toEqual(['used', null, 'LOCK_TIMEOUT', 1, 0, 'used'])
    expect(await worker.exited).toEqual({ code: 0, signal: null })
  })

  test('locks through the callback API', async () => {
    const worker = run('locks through the callback API')
    expect(await worker.next('ready')).toMatchObject({ error: null, releaseError: null })
    expect(await worker.exited).toEqual({ code: 0, signal: null })
  })
})
