import { expect, test } from 'vitest'
import { createLocksmith, type LocksmithOptions } from '../../src/index.js'
import { activeResources, expectNoMoreResources, trackResources } from '../support/leaks.js'
import { inMode } from '../support/mode.mjs'
import { useWorkers } from '../support/processes.js'
import { useReplicaSet } from '../support/replicas.js'
import { until } from '../support/until.js'

/** What a locksmith that follows a primary leaves behind: nothing. */

const servers = useReplicaSet({ replicas: 2, sentinels: 3 })
const spawnWorker = useWorkers()

const WAYS: [string, () => LocksmithOptions][] = [
  ['by sentinels', () => ({ sentinels: servers.set.sentinelAddresses })],
  ['among nodes', () => ({ nodes: servers.set.addresses })],
  ['and is to promote', () => ({ nodes: servers.set.addresses, failover: 'promote' })],
]

test.each(WAYS)('a process that holds and waits and follows %s ends by itself', async (_, options) => {
  const env = { LOCKSMITH: JSON.stringify(options()), SCENARIO: 'holds on nodes that it follows' }
  const worker = spawnWorker('leaving.cjs', {}, { env })
  await worker.next('ready')
  await worker.next('exit')
  expect(await worker.exited).toEqual({ code: 0, signal: null })
  expect(worker.output).toBe('')
})

test.each(WAYS)('close() of one that follows %s leaves no connection, timer or handle behind', async (_, options) => {
  // Loaded once.
  await import('@redis/client')
  const before = activeResources()
  const tracker = trackResources()
  try {
    const locksmith = createLocksmith(inMode(options()))
    const lock = await locksmith.acquire('k')
    await lock.release()
    await locksmith.close()
    await expectNoMoreResources(before)
    await until(() => Object.values(tracker.alive()).reduce((sum, count) => sum + count, 0) <= 1, {
      what: `nothing left but this timer: ${JSON.stringify(tracker.alive())}`,
    })
  } finally {
    tracker.stop()
  }
})
