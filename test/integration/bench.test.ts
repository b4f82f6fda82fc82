import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

// That the benchmark runs and says what it measured. What it measures is no business of a test: the machine may be busy. The libraries
// that it compares with need not be there.

const WORKLOADS = [
  'latency',
  'throughput',
  'one-process',
  'many-processes',
  'semaphore',
  'commands',
  'hand-over',
  'idle-waiters',
  'quorum',
  'scale',
  'memory',
  'import',
]

/** Of those, the figures are comparisons with other libraries, or there is none. */
const NO_FIGURE_ALONE = ['semaphore', 'import']

const root = fileURLToPath(new URL('../..', import.meta.url))
const bench = (...args: string[]) => promisify(execFile)(process.execPath, ['bench/main.mjs', ...args], { cwd: root })

test('every workload runs, prints its table and its figures, and writes its numbers and the chart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'halocksmith-bench-'))
  try {
    const file = join(folder, 'numbers.json')
    const chart = join(folder, 'chart.svg')
    const { stdout } = await bench('--tiny', '--json', file, '--chart', chart)
    const { workloads, machine } = JSON.parse(await readFile(file, 'utf8'))
    expect(machine).toMatchObject({ node: process.versions.node, server: expect.stringMatching(/^(?:redis|valkey)-server \d/) })
    expect(Object.keys(workloads)).toEqual(WORKLOADS)
    for (const { figures } of Object.values<{ figures: { what: string; measured: number }[] }>(workloads)) {
      for (const { what, measured } of figures) {
        expect(measured, what).toEqual(expect.any(Number))
        expect(stdout).toContain(`| ${what} `)
      }
    }
    for (const workload of WORKLOADS.filter((name) => !NO_FIGURE_ALONE.includes(name))) expect(workloads[workload].figures).not.toEqual([])
    expect(stdout).toMatch(/^\| halocksmith +\|.*\d/m)
    expect(await readFile(chart, 'utf8')).toMatch(/<rect class="bar ours"/)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 120_000)

test('a workload that does not exist is refused, with those that do', async () => {
  const failed = await bench('--only', 'everything').catch((error) => error)
  expect(failed).toMatchObject({ code: 2, stderr: expect.stringContaining(`workloads: ${WORKLOADS.join(', ')}`) })
})
