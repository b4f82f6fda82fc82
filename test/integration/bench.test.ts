import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

// That the benchmark runs and says what it measured. What it measures is no business of a test: the machine may be busy.

const root = fileURLToPath(new URL('../..', import.meta.url))
const bench = (...args: string[]) => promisify(execFile)(process.execPath, ['bench/main.mjs', ...args], { cwd: root })

test('every workload runs, prints its table and its figures, and writes its numbers', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'halocksmith-bench-'))
  try {
    const file = join(folder, 'numbers.json')
    const { stdout } = await bench('--tiny', '--json', file)
    const { workloads, machine } = JSON.parse(await readFile(file, 'utf8'))
    expect(machine).toMatchObject({ node: process.versions.node, server: expect.stringMatching(/^(?:redis|valkey)-server \d/) })
    expect(Object.keys(workloads)).toEqual(['latency', 'commands', 'idle-waiters', 'hand-over'])
    for (const { figures } of Object.values<{ figures: { what: string; measured: number }[] }>(workloads)) {
      expect(figures).not.toEqual([])
      for (const { what, measured } of figures) {
        expect(measured, what).toEqual(expect.any(Number))
        expect(stdout).toContain(`| ${what} `)
      }
    }
    expect(stdout).toMatch(/^\| halocksmith +\|.*\d/m)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 60_000)

test('a workload that does not exist is refused, with those that do', async () => {
  const failed = await bench('--only', 'everything').catch((error) => error)
  expect(failed).toMatchObject({ code: 2, stderr: expect.stringContaining('workloads: latency, commands, idle-waiters, hand-over') })
})
