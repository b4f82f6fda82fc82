import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { workerLines } from '../../demo/lines.mjs'
import { Screen } from '../../demo/screen.mjs'
import { judge } from '../../demo/verdict.mjs'
import { freePort, startRedis } from '../../scripts/redis-server.mjs'

const PROGRAM = fileURLToPath(new URL('../../demo/main.mjs', import.meta.url))
const WIDTH = 80
/** In the environment of the demo, and so of all that it starts. */
const MARK = 'DEMO_TEST_RUN'

/** The demo as a process of its own, with few increments and a folder for its temporary files. */
class Run {
  output = ''
  readonly folder = mkdtempSync(join(process.env.HALOCKSMITH_RUN_FOLDER ?? tmpdir(), 'demo-test-'))
  readonly child: ChildProcess
  private readonly ended: Promise<number | null>

  constructor(env: NodeJS.ProcessEnv = {}, args: string[] = []) {
    const { REDIS_URL: _, DEMO_STORE: __, ...inherited } = process.env
    const own = { TMPDIR: this.folder, HALOCKSMITH_RUN_FOLDER: this.folder, DEMO_INCREMENTS: '5', [MARK]: this.folder }
    this.child = spawn(process.execPath, [PROGRAM, ...args], { env: { ...inherited, ...own, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.setEncoding('utf8').on('data', (text) => (this.output += text))
    this.ended = once(this.child, 'close').then(([code]) => code)
  }

  /** The lines that it printed, once it has ended. */
  async lines(): Promise<string[]> {
    await this.ended
    return this.output.trimEnd().split('\n')
  }

  async exitCode(): Promise<number | null> {
    return this.ended
  }

  /** Resolves when it has printed this. */
  async until(text: string): Promise<void> {
    const ended = this.ended.then(() => Promise.reject(new Error(`it ended without printing ${JSON.stringify(text)}:\n${this.output}`)))
    while (!this.output.includes(text)) await Promise.race([once(this.child.stdout as NodeJS.ReadableStream, 'data'), ended])
    ended.catch(() => {})
  }

  /** Files, processes, and a server that still listens. */
  async leftOver(): Promise<string[]> {
    await this.ended
    const port = Number(/started here on port (\d+)/.exec(this.output)?.[1])
    return [...readdirSync(this.folder), ...marked(this.folder), ...(port && (await listens(port)) ? [`port ${port}`] : [])]
  }
}

/** The processes that have the mark. Only Linux tells. */
function marked(value: string): string[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`${MARK}=${value}`)
    } catch {
      return false
    }
  })
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** What every run that ends well has shown. Worker 3 freezes at its second of five increments. */
async function expectSuccess(run: Run): Promise<void> {
  const lines = await run.lines()
  expect(await run.exitCode(), run.output).toBe(0)
  expect(run.output).toMatch(/Expected 20, got \d+/)
  expect(run.output).toMatch(/Worker 3 was (killed|cut off, as if killed,) while holding the lock/)
  expect(run.output).toMatch(/Worker [124] entered \S+ m?s after the kill, with a larger token/)
  expect(lines.filter((line) => line.startsWith('  ok '))).toHaveLength(6)
  expect(lines.at(-1)).toMatch(/^All as promised: expected 16, got 16, in \d+\.\d s\.$/)
  expect(lines.filter((line) => line.length > WIDTH)).toEqual([])
  expect(run.output).not.toContain('\x1b')
  expect(await run.leftOver()).toEqual([])
}

const runs: Run[] = []

function start(...args: ConstructorParameters<typeof Run>): Run {
  const run = new Run(...args)
  runs.push(run)
  return run
}

afterEach(async () => {
  for (const run of runs.splice(0)) {
    run.child.kill('SIGKILL')
    await run.exitCode()
    rmSync(run.folder, { recursive: true, force: true })
  }
})

describe('the demo shows that it works', { timeout: 60_000 }, () => {
  test('with a Redis that it starts and stops', async () => {
    const run = start()
    await expectSuccess(run)
    expect(run.output).toMatch(/Lock server: (redis|valkey)-server \S+, .*, started here on port \d+\./)
  })

  test('with the memory store', async () => {
    const run = start({ DEMO_STORE: 'memory' })
    await expectSuccess(run)
    expect(run.output).toContain('Lock server: none, the memory store does its work: you asked for that.')
  })

  test('with a Redis that others use, of which it leaves as much as it found, also when interrupted', async () => {
    const redis = await startRedis()
    try {
      await redis.command('SET', 'theirs', '1')
      const interrupted = start({ REDIS_URL: redis.url })
      await interrupted.until('was killed while holding')
      interrupted.child.kill('SIGINT')
      expect(await interrupted.exitCode(), interrupted.output).toBe(130)
      expect((await interrupted.lines()).at(-1)).toBe('Interrupted: tidying up.')
      expect(await interrupted.leftOver()).toEqual([])
      expect(await redis.command('KEYS', '*')).toEqual(['theirs'])

      const run = start({ REDIS_URL: redis.url })
      await expectSuccess(run)
      expect(run.output).toContain(`Lock server: the Redis at 127.0.0.1:${redis.port}, because REDIS_URL is set.`)
      expect(await redis.command('KEYS', '*')).toEqual(['theirs'])
    } finally {
      await redis.stop()
    }
  })
})

describe('the demo says why it can not be carried out:', () => {
  test.each([
    ['a Redis that is not there', async () => ({ REDIS_URL: `redis://user:secret@127.0.0.1:${await freePort()}` }), [], 'ECONNREFUSED'],
    ['an address that is none', () => ({ REDIS_URL: 'nonsense' }), [], "REDIS_URL can't be used"],
    ['a number that is none', () => ({ DEMO_INCREMENTS: 'many' }), [], 'DEMO_INCREMENTS must be'],
    ['an unknown option', () => ({}), ['--fast'], '--fast is not an option'],
  ])('%s', async (_what, env, args, message) => {
    const run = start(await env(), args)
    expect(await run.exitCode()).toBe(1)
    expect(run.output).toContain(message)
    expect(run.output).not.toContain('secret')
    expect(await run.leftOver()).toEqual([])
  })
})

describe('the verdict', () => {
  type Round = Parameters<typeof judge>[0]
  const entry = (worker: number, value: number) => ({ worker, value, token: 10 + value })
  const good: Round = {
    planned: [1, 1, 0, 1],
    got: 3,
    entries: [entry(1, 1), entry(4, 2), entry(2, 3)],
    killing: { token: 11, counts: [1, 0, 0, 0], leaseMs: 1_700, next: { worker: 4, token: 12, atMs: 0 }, waitedMs: 1_702 },
    left: 0,
  }
  const judged = (change: Partial<Round>) => judge({ ...good, ...change }).filter(({ ok }) => !ok).length
  const killing = (change: Partial<Round['killing']>) => ({ killing: { ...good.killing, ...change } })

  test('is good when all is well', () => {
    expect(judged({})).toBe(0)
  })

  test.each<[string, Partial<Round>]>([
    ['a lost increment', { got: 2 }],
    ['an increment too many', { got: 4 }],
    ['an increment that was counted for another worker', { entries: [entry(1, 1), entry(1, 2), entry(2, 3)] }],
    ['two increments from the same number', { entries: [entry(1, 1), { ...entry(4, 1), token: 12 }, entry(2, 3)] }],
    ['a token that is not larger', { entries: [entry(1, 1), { ...entry(4, 2), token: 11 }, entry(2, 3)] }],
    ['a next holder without a larger token', killing({ next: { ...good.killing.next, token: 11 } })],
    ['an entry before the lease had ended', killing({ waitedMs: 1_600 })],
    ['an entry long after', killing({ waitedMs: 9_000 })],
    ['a lease that was gone with its holder', killing({ leaseMs: 0, waitedMs: 1 })],
    ['somebody who still waits', { left: 1 }],
  ])('notices %s', (_what, change) => {
    expect(judged(change)).toBe(1)
  })
})

describe('on a terminal', () => {
  /** As much of a terminal as the demo uses. */
  function terminal(columns: number) {
    const written: string[] = []
    const stream = { isTTY: true, columns, hasColors: () => false, write: (text: string) => written.push(text) }
    const screen = new Screen(stream as unknown as NodeJS.WriteStream, {})
    const shown = () => {
      let lines: string[] = []
      for (const part of written
        .join('')
        .split('\x1b[')
        .filter((part) => part !== '')) {
        const [up, text] = /^\d+F$/.test(part) ? [Number.parseInt(part, 10), ''] : [0, part.replace(/^J/, '')]
        lines = [...lines.slice(0, lines.length - up), ...text.split('\n').slice(0, -1)]
      }
      return lines
    }
    return { screen, shown }
  }

  test('the workers are redrawn in place, below what stays', () => {
    const { screen, shown } = terminal(WIDTH)
    screen.print('title')
    screen.show(['a 1', 'b 1'], 'plain')
    screen.show(['a 2', 'b 2'], 'plain')
    screen.print('event')
    screen.show(['a 3', 'b 3'], 'plain')
    expect(shown()).toEqual(['title', 'event', 'a 3', 'b 3'])
    screen.settle(['a 4', 'b 4'])
    screen.print('end')
    expect(shown()).toEqual(['title', 'event', 'a 4', 'b 4', 'end'])
  })

  test('that is too narrow, nothing is redrawn', () => {
    const { screen, shown } = terminal(40)
    screen.show(['a 1'], 'plain 1')
    screen.show(['a 2'], 'plain 2')
    expect(shown()).toEqual(['plain 1', 'plain 2'])
  })

  test('the longest lines fit', () => {
    const { screen } = terminal(WIDTH)
    const info = (worker: number) => ({
      name: '',
      mode: 'exclusive' as const,
      permits: 1,
      limit: 1,
      clientId: '',
      label: `worker ${worker}`,
    })
    const held = [{ ...info(1), fencingToken: Number.MAX_SAFE_INTEGER, expiresInMs: 2_000 }]
    const pending = [2, 3, 4].map((worker) => ({ ...info(worker), waitingMs: 100_000, position: worker }))
    const picture = { counts: [9_998, 9_998, 9_998, 9_998], increments: 9_999, held, pending, killed: undefined }
    expect(workerLines(picture, screen).filter((line) => line.length > WIDTH)).toEqual([])
    expect(workerLines(picture, screen)).toHaveLength(4)
  })
})
