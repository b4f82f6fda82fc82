import { expect, test } from 'vitest'
import { cycle, enteredWhileAllContend, expectNoTrouble, spawnCrew, tempFile } from '../support/contention.js'
import { checkIntervals, readHistory } from '../support/history.js'
import { serverWaiters } from '../support/mode.mjs'
import { useObserver } from '../support/observer.js'
import { useWorkers } from '../support/processes.js'
import { useRedis } from '../support/redis.js'
import { jainIndex } from '../support/statistics.js'

/** Many processes with many claims each on one name, as fast as they can, watched by a witness that knows nothing of Redis. */

const PROCESSES = 8
const CLAIMS = 4
const CYCLES = 5_000

const redis = useRedis()
const observer = useObserver(redis)
useWorkers()

// The time limit is for machines that do much else besides: it takes about 5 s.
test(`${PROCESSES} processes with ${CLAIMS} claims each share a mutex`, async () => {
  const witnessFile = tempFile('witness')
  const crew = await spawnCrew(redis, PROCESSES)
  // A process that had the name to itself would be through with it before the others came.
  const pin = await crew[0]!.acquire({ name: 'n' })
  const reports = cycle(crew, () => ({ names: ['n'], claims: CLAIMS, cycles: CYCLES / PROCESSES, witnessFile }))
  await observer.queued('n', serverWaiters(PROCESSES, CLAIMS))
  await crew[0]!.release(pin.handle)
  expectNoTrouble(await reports)

  const history = readHistory(witnessFile)
  // Never two inside, and tokens that grow in the order of entry.
  expect(checkIntervals(history, 1)).toEqual({ entries: CYCLES, maxInside: 1, violations: [] })

  const shares = enteredWhileAllContend(history, PROCESSES * CLAIMS)
  const sum = shares.reduce((total, share) => total + share, 0)
  // The measure says something only if they all contended for most of the time.
  expect(sum).toBeGreaterThan(CYCLES / 2)
  expect(jainIndex(shares)).toBeGreaterThanOrEqual(0.99)

  await redis.expectOnlyTokens()
  const largest = Math.max(...history.map(({ fencingToken }) => fencingToken))
  expect(await redis.keys()).toEqual(['__halocksmith:{n}'])
  expect(await redis.command('HGETALL', '__halocksmith:{n}')).toEqual(['token', `${largest}`])
}, 60_000)
