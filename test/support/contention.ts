import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { HistoryRecord } from './history.js'

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
