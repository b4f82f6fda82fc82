import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { HistoryRecord } from './history.js'
import { type LockWorker, type Recipe, type RemoteLock, spawnLockWorker } from './lock-worker.js'
import type { Observer } from './observer.js'
import type { TestRedis } from './redis.js'

/** The path of a file that is not there yet, in a folder that is removed when the test has finished. */
export function tempFile(name: string): string {
  const folder = mkdtempSync(join(process.env.HALOCKSMITH_RUN_FOLDER ?? tmpdir(), 'contention-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return join(folder, name)
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
export function spawnCrew(redis: TestRedis, count: number): Promise<LockWorker[]> {
  return Promise.all(Array.from({ length: count }, () => spawnLockWorker({ locksmith: { url: redis.url } })))
}

/** Has claims queue up one behind the other, each in place before the next one asks. Returns what they wait for, in that order. */
export async function queueUp(
  observer: Observer,
  name: string,
  claims: readonly { worker: LockWorker; handle?: string; options?: object; recipe?: Recipe }[],
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
