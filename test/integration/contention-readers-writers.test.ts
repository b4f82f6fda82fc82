import { expect, test } from 'vitest'
import { cycle, expectNoTrouble, queueUp, tempFile, useCrew } from '../support/contention.js'
import { checkIntervals, type HistoryRecord, readHistory } from '../support/history.js'
import type { LockWorker } from '../support/lock-worker.js'
import { IN_ORDER } from '../support/mode.mjs'
import { useObserver } from '../support/observer.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** Readers and writers in many processes: neither kind keeps the other out by coming in a stream. */

const STREAMS = 3
const CLAIMS = 3
const ROUNDS = 5

const redis = useRedis()
const observer = useObserver(redis)
const crewOf = useCrew(redis, 4)
const crewInOrder = useCrew(redis, 3 + STREAMS, IN_ORDER)

const reader = { kind: 'read' } as const
const writer = { kind: 'write' } as const

/** Those who entered between two moments, which are given as tokens or times of the server. */
const entriesBetween = (history: readonly HistoryRecord[], from: number, to: number) =>
  history.filter(({ kind, fencingToken }) => kind === 'in' && fencingToken > from && fencingToken < to)

/** Starts processes that read or write without a pause. `stop` resolves to what the witness saw. */
async function startStream(recipe: typeof reader | typeof writer, workers: readonly LockWorker[]) {
  const witnessFile = tempFile('witness')
  const job = { names: ['n'], recipe, claims: CLAIMS, forMs: 60_000, workMs: 2, witnessFile }
  const reports = cycle(workers, () => job)
  const count = () => readHistory(witnessFile).length
  await until(() => count() > 0, { what: 'the stream flows' })
  const stop = async () => {
    await Promise.all(workers.map((worker) => worker.stopCycles()))
    expectNoTrouble(await reports)
    return readHistory(witnessFile)
  }
  return { count, stop }
}

test.each([
  { stream: 'readers', recipe: reader, other: 'writer', otherRecipe: writer },
  { stream: 'writers', recipe: writer, other: 'reader', otherRecipe: reader },
])('a $other enters before all $stream of a stream that ask later', async ({ recipe, otherRecipe }) => {
  const [pin, other, late, ...workers] = crewInOrder() as [LockWorker, LockWorker, LockWorker, ...LockWorker[]]
  const stream = await startStream(recipe, workers)
  const rounds: { queuedUs: number; token: number; before: number }[] = []
  for (let round = 0; round < ROUNDS; round++) {
    // One of the stream's kind stays inside until all is in place.
    await pin.acquire({ name: 'n', recipe, handle: 'pin' })
    const pending = other.acquire({ name: 'n', recipe: otherRecipe, handle: 'other' })
    const waiting = await until(
      async () => {
        const found = (await observer.look('n')).pending
        return found.some(({ pid }) => pid === other.process.pid) && found
      },
      { what: 'it waits' },
    )
    const queuedUs = await observer.serverTimeUs()
    const before = waiting.findIndex(({ pid }) => pid === other.process.pid)
    const lateLock = late.acquire({ name: 'n', recipe, handle: 'late' })
    await pin.release('pin')
    const { fencingToken } = await pending
    await other.release('other')
    expect((await lateLock).fencingToken).toBeGreaterThan(fencingToken)
    await late.release('late')
    rounds.push({ queuedUs, token: fencingToken, before })
    // The stream goes on.
    const seen = stream.count()
    await until(() => stream.count() > seen + STREAMS * CLAIMS, { what: 'the stream flows again' })
  }
  const history = await stream.stop()
  expect(checkIntervals(history, Number.POSITIVE_INFINITY).violations).toEqual([])
  for (const { queuedUs, token, before } of rounds) expect(entriesBetween(history, queuedUs, token)).toHaveLength(before)
  await Promise.all([observer.free('n'), observer.queued('n', 0)])
})

test('readers share, writers exclude everybody, and all have their turns', async () => {
  const crew = crewOf(4)
  const witnessFile = tempFile('witness')
  const job = { names: ['n'], claims: 3, cycles: 60, witnessFile }
  expectNoTrouble(await cycle(crew, (i) => ({ ...job, recipe: i % 2 ? writer : reader, workMs: i % 2 ? 0 : 1 })))
  const { entries, maxInside, violations } = checkIntervals(readHistory(witnessFile), Number.POSITIVE_INFINITY)
  expect(violations).toEqual([])
  expect(entries).toBe(4 * 60)
  expect(maxInside).toBeGreaterThan(1)
  await redis.expectOnlyTokens()
})

test('readers that queued behind a writer enter together', async () => {
  const crew = crewOf(4)
  const [one, two, three, four] = crew as [LockWorker, LockWorker, LockWorker, LockWorker]
  await one.acquire({ name: 'n', recipe: writer, handle: 'w' })
  const locks = await queueUp(observer, 'n', [
    { worker: two, recipe: reader },
    { worker: three, recipe: reader },
    { worker: four, recipe: writer, handle: 'w' },
    { worker: one, recipe: reader },
  ])
  await one.release('w')
  expect((await observer.holders('n')).sort()).toEqual([two.process.pid, three.process.pid].sort())
  for (const [i, worker] of [two, three].entries()) await worker.release((await locks[i]!).handle)
  expect(await observer.holders('n')).toEqual([four.process.pid])
  await locks[2]
  await four.release('w')
  expect(await observer.holders('n')).toEqual([one.process.pid])
  await locks[3]
})
