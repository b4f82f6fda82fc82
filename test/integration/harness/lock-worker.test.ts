import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { checkIntervals, readHistory } from '../../support/history.js'
import { type CycleJob, spawnLockWorker } from '../../support/lock-worker.js'
import { useWorkers } from '../../support/processes.js'
import { useRedis } from '../../support/redis.js'
import { jainIndex } from '../../support/statistics.js'
import { until } from '../../support/until.js'

// Not the library: the harness is what is tested here.
const module = new URL('../../support/workers/trial-lock.mjs', import.meta.url).href
const redis = useRedis()
useWorkers()

const spawn = (options: object = {}) => spawnLockWorker({ module, locksmith: { port: redis.port, ...options } })

describe('a lock in another process', () => {
  test('is acquired, looked at, released', async () => {
    const [one, two] = await Promise.all([spawn(), spawn()])
    const lock = await one.acquire({ name: 'n', handle: 'mine', options: { ttlMs: 5_000 } })
    expect(lock).toMatchObject({ handle: 'mine', name: 'n', names: ['n'], fencingToken: 1, state: 'held' })
    expect(await two.tryAcquire({ name: 'n' })).toBeNull()
    const state = await one.look('mine')
    expect(state).toMatchObject({ state: 'held', aborted: false, held: true, error: undefined })
    expect(state.atNs).toBeGreaterThan(lock.atNs)
    expect(await one.release('mine')).toMatchObject({ released: true })
    expect(await two.acquire({ name: 'n' })).toMatchObject({ fencingToken: 2, handle: '#2' })
  })

  test('its times are comparable with those of this process', async () => {
    const worker = await spawn()
    const before = process.hrtime.bigint()
    const { atNs } = await worker.acquire({ name: 'n' })
    expect(atNs).toBeGreaterThan(before)
    expect(atNs).toBeLessThan(process.hrtime.bigint())
  })

  test('an acquire can be aborted', async () => {
    const [one, two] = await Promise.all([spawn(), spawn()])
    await one.acquire({ name: 'n' })
    const waiting = two.acquire({ name: 'n', handle: 'w' })
    await two.abort('w', 'no longer wanted')
    await expect(waiting).rejects.toMatchObject({ name: 'Error', message: 'no longer wanted' })
  })

  test('a loss is reported with its moment', async () => {
    const worker = await spawn()
    const { atNs, fencingToken } = await worker.acquire({ name: 'n', handle: 'mine', options: { ttlMs: 50 } })
    const lost = await worker.lost('mine')
    expect(lost).toMatchObject({ fencingToken, error: { code: 'LOCK_LOST' } })
    expect(Number(lost.atNs - atNs) / 1e6).toBeGreaterThan(45)
    expect(await worker.look('mine')).toMatchObject({ aborted: true, held: false, error: { code: 'LOCK_LOST' } })
  })

  test('a probe sees from inside what a stop does', async () => {
    const worker = await spawn()
    await worker.acquire({ name: 'n', handle: 'mine', options: { ttlMs: 60 } })
    await worker.startProbe('mine')
    await worker.process.pause()
    await until(async () => (await redis.command('EXISTS', 'trial:n')) === 0)
    worker.process.resume()
    await worker.lost('mine')
    const samples = await worker.stopProbe('mine')
    expect(samples[0]?.held).toBe(true)
    expect(samples.at(-1)?.held).toBe(false)
  })

  test('a write with an older token is refused', async () => {
    const worker = await spawn()
    await worker.acquire({ name: 'a', handle: 'old' })
    await worker.release('old')
    await worker.acquire({ name: 'a', handle: 'new' })
    expect(await worker.fencedWrite('old', redis.port, 'k', '1')).toBe(true)
    expect(await worker.fencedWrite('new', redis.port, 'k', '2')).toBe(true)
    expect(await worker.fencedWrite('old', redis.port, 'k', '3')).toBe(false)
    expect(await redis.command('HGET', 'k', 'value')).toBe('2')
  })

  test('a process that is busy does nothing else', async () => {
    const worker = await spawn()
    const { atNs } = await worker.acquire({ name: 'n', handle: 'mine' })
    const busy = worker.block(60)
    const { atNs: afterwards } = await worker.look('mine')
    await busy
    expect(Number(afterwards - atNs) / 1e6).toBeGreaterThan(60)
  })

  test('errors tell what happened there, also when the process is gone', async () => {
    const worker = await spawn()
    await expect(worker.look('none')).rejects.toThrow("this worker has no lock 'none'")
    const pending = worker.block(60_000)
    await worker.process.kill()
    await expect(pending).rejects.toThrow(/has ended \(SIGKILL\)/)
    await expect(worker.look('none')).rejects.toThrow(/has ended/)
  })

  test('closed and left, the process ends by itself', async () => {
    const worker = await spawn()
    await worker.close()
    worker.leave()
    expect(await worker.process.exited).toEqual({ code: 0, signal: null })
  })
})

describe('cycles of several processes', () => {
  const run = async (options: object, job: Partial<CycleJob>) => {
    const folder = mkdtempSync(join(tmpdir(), 'halocksmith-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const witnessFile = join(folder, 'witness')
    const workers = await Promise.all([spawn(options), spawn(options)])
    const whole = { names: ['n'], claims: 3, cycles: 40, workMs: 1, witnessFile, ...job }
    const reports = await Promise.all(workers.map((worker) => worker.cycle(whole)))
    return { reports, history: readHistory(witnessFile) }
  }

  test('a lock that excludes passes', async () => {
    const { reports, history } = await run({}, {})
    expect(checkIntervals(history, 1)).toEqual({ entries: 80, maxInside: 1, violations: [] })
    const cycles = reports.flatMap((report) => report.cycles)
    expect(cycles).toHaveLength(6)
    expect(cycles.reduce((sum, count) => sum + count)).toBe(80)
    expect(jainIndex(cycles)).toBeGreaterThan(0)
    expect(reports.flatMap(({ waitsMs }) => waitsMs)).toHaveLength(80)
    expect(reports).toMatchObject([
      { lost: 0, failures: [] },
      { lost: 0, failures: [] },
    ])
  })

  test('a lock that does not exclude is noticed', async () => {
    const { history } = await run({ exclusive: false }, {})
    expect(checkIntervals(history, 1).violations).toContainEqual(expect.stringMatching(/^entered beside/))
  })

  test('so are tokens that do not grow', async () => {
    const { history } = await run({ tokens: 'falling' }, { workMs: 0 })
    expect(checkIntervals(history, 1).violations).toContainEqual(expect.stringMatching(/^the token is not above/))
  })

  test('who loses the lock leaves at once, and it is counted', async () => {
    const { reports, history } = await run({}, { options: { ttlMs: 10 }, workMs: 25, cycles: 3, claims: 1 })
    expect(reports.map(({ lost }) => lost)).toEqual([3, 3])
    expect(history.filter(({ kind }) => kind === 'out')).toHaveLength(6)
  })

  test('failures are reported, and time is a bound too', async () => {
    const { reports } = await run({}, { recipe: { kind: 'mutex' }, cycles: Number.POSITIVE_INFINITY, forMs: 30, claims: 1 })
    for (const { failures, cycles } of reports) {
      expect(cycles).toEqual([0])
      expect(failures[0]).toMatchObject({ name: 'TypeError' })
    }
  })

  test('they are stopped, also while they wait', async () => {
    const worker = await spawn()
    await worker.acquire({ name: 'n', handle: 'mine' })
    const report = worker.cycle({ names: ['n'], forMs: 600_000 })
    await worker.stopCycles()
    expect(await report).toMatchObject({ cycles: [0], failures: [] })
  })

  test('without a bound they are refused', async () => {
    await expect((await spawn()).cycle({ names: ['n'] })).rejects.toThrow('cycles or forMs must be given')
  })
})
