import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { type FoundServer, findRedisServer, type NoServer } from '../../scripts/find-redis.mjs'
import { processState } from '../../scripts/processes.mjs'
import { until } from './until.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** The server program that this run uses, or why there is none: `inject('redisProgram')`. */
    redisProgram: FoundServer | NoServer
  }
}

/** How long a server may take to end after the process that it belonged to. */
const END_MS = 2_000

/**
 * Runs once, before all tests: sees to it that there is a Redis server, fetching one if need be. Without one, tests that need it are
 * skipped and say why; on CI the run fails.
 *
 * After all tests it fails the run if a process is left that a test has started, and ends it.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const found = await findRedisServer({ install: 'quiet', log: (line) => console.log(`redis: ${line}`) })
  if (found.path === null) {
    if (process.env.CI) throw new Error(found.reason)
    console.warn(`redis: ${found.reason}`)
  }
  project.provide('redisProgram', found)

  // Test processes inherit it; scripts/redis-server.mjs and processes.ts leave a note there of every process that they start.
  const runFolder = mkdtempSync(join(tmpdir(), 'halocksmith-run-'))
  process.env.HALOCKSMITH_RUN_FOLDER = runFolder
  return async () => {
    delete process.env.HALOCKSMITH_RUN_FOLDER
    const leftovers = await until(async () => processesOf(runFolder).length === 0, { timeoutMs: END_MS }).then(
      () => [],
      () => processesOf(runFolder),
    )
    for (const { pid } of leftovers) process.kill(pid, 'SIGKILL')
    rmSync(runFolder, { recursive: true, force: true })
    if (leftovers.length > 0) {
      // vitest only prints what is thrown here.
      process.exitCode = 1
      throw new Error(`processes were left running: ${leftovers.map(({ pid, file }) => `${pid} (${file})`).join(', ')}`)
    }
  }
}

/** The processes that are noted in `folder` and still run. */
export function processesOf(folder: string): { pid: number; file: string }[] {
  const notes = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.pid'))
  return notes.flatMap((file) => {
    try {
      const pid = Number.parseInt(readFileSync(join(folder, file), 'utf8'), 10)
      return pid > 0 && processState(pid) !== 'gone' ? [{ pid, file }] : []
    } catch {
      // It was just removed with its folder.
      return []
    }
  })
}
