import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, inject, onTestFinished } from 'vitest'
import type { LocksmithOptions } from '../../src/index.js'
import type { HistoryRecord } from './history.js'
import { type CycleJob, type CycleReport, type LockWorker, type RemoteLock, type RemoteRequest, spawnLockWorker } from './lock-worker.js'
import { ms, type Observer } from './observer.js'
import { useWorkers } from './processes.js'
import type { TestRedis } from './redis.js'

/** The path of an empty file, which is removed when the test has finished. */
export function tempFile(name: string): string {
  const folder = mkdtempSync(join(process.env.HALOCKSMITH_RUN_FOLDER ?? tmpdir(), 'contention-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, name)
  writeFileSync(file, '')
  return file
}

/**
 * How often each holder entered while all `holders` of them were contending: from the last one's first entry until the first one's last,
 * after which it may have had nothing left to do.
 */
export function enteredWhileAllContend(history: readonly HistoryRecord[], holders: number): number[] {
  const entries = history.filter(({ kind }) => kind === 'in').sort((a, b) => a.fencingToken - b.fencingToken)
  const first = new Map<string, number>()
  const last = new Map<string, number>()
  for (const { holder, fencingToken } of entries) {
    if (!first.has(holder)) first.set(holder, fencingToken)
    last.set(holder, fencingToken)
  }
  if (first.size !== holders) throw new Error(`${first.size} of ${holders} holders ever entered`)
  const from = Math.max(...first.values())
  const to = Math.min(...last.values())
  const counts = new Map([...first.keys()].map((holder) => [holder, 0]))
  for (const { holder, fencingToken } of entries) {
    if (fencingToken >= from && fencingToken <= to) counts.set(holder, (counts.get(holder) ?? 0) + 1)
  }
  return [...counts.values()]
}

/** Starts processes that all lock on one server. */
export function spawnCrew(redis: TestRedis, count: number, options: LocksmithOptions = {}): Promise<LockWorker[]> {
  return Promise.all(Array.from({ length: count }, () => spawnLockWorker({ locksmith: { url: redis.url, ...options } })))
}

/**
 * Processes that all tests of a file use in turn, for tests which leave them as they were. Call it at the top of the file, behind
 * `useRedis`; the function that is returned gives the first `count` of them.
 */
export function useCrew(redis: TestRedis, size: number, options?: LocksmithOptions): (count?: number) => LockWorker[] {
  useWorkers('file')
  let crew: LockWorker[] = []
  beforeAll(async () => {
    // Without a server all tests are skipped.
    if (inject('redisProgram').path !== null) crew = await spawnCrew(redis, size, options)
  })
  return (count = size) => crew.slice(0, count)
}

/** How many locksmiths the server can push grants to. */
export async function listeners(redis: TestRedis): Promise<number> {
  return (await redis.clientList()).filter(({ sub }) => sub > 0).length
}

/**
 * Has processes lock and unlock; `jobOf` says what each of them does. It may be left unawaited: that a process was killed is nobody's
 * mistake then.
 */
export function cycle(workers: readonly LockWorker[], jobOf: (index: number) => CycleJob): Promise<CycleReport[]> {
  const reports = Promise.all(workers.map((worker, i) => worker.cycle(jobOf(i))))
  reports.catch(() => {})
  return reports
}

/** Asserts that every acquire succeeded, and that no lock was lost. */
export function expectNoTrouble(reports: readonly CycleReport[]): void {
  expect(reports.map(({ lost, failures }) => ({ lost, failures }))).toEqual(reports.map(() => ({ lost: 0, failures: [] })))
}

/** The heir of a lock enters at most this long after the lease has ended on the server. */
const LATE_MS = 250

/**
 * Resolves to what `next` got, which is after a holder that let nobody in: when its lease has ended, not before, and soon.
 *
 * @param token of the holder, whose heir's is larger
 */
export async function expectHeir(
  observer: Observer,
  { name, pid, token }: { name: string; pid: number; token: number },
  next: Promise<RemoteLock>,
): Promise<RemoteLock> {
  const { notBeforeNs, notAfterNs } = await observer.leaseEnd(name, pid)
  const heir = await next
  expect(heir.atNs, name).toBeGreaterThan(notBeforeNs)
  expect(heir.atNs, name).toBeLessThan(notAfterNs + ms(LATE_MS))
  expect(heir.fencingToken, name).toBeGreaterThan(token)
  return heir
}

/** Has claims queue up one behind the other, each in place before the next one asks. Returns what they wait for, in that order. */
export async function queueUp(
  observer: Observer,
  name: string,
  claims: readonly (Omit<RemoteRequest, 'name'> & { worker: LockWorker })[],
): Promise<Promise<RemoteLock>[]> {
  const already = (await observer.look(name)).pending.length
  const locks: Promise<RemoteLock>[] = []
  for (const [i, { worker, ...request }] of claims.entries()) {
    const lock = worker.acquire({ name, ...request })
    // Awaited later, if at all: its process may be killed.
    lock.catch(() => {})
    locks.push(lock)
    await observer.queued(name, already + i + 1)
  }
  return locks
}
