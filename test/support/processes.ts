import { type ChildProcess, fork } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach } from 'vitest'
import { processState } from '../../scripts/processes.mjs'
import { until } from './until.js'

/** What processes tell each other: any value that can be cloned, BigInt and Infinity included. */
export interface Message {
  readonly type: string
  readonly [field: string]: any
}

export interface SpawnOptions {
  /** Settings of Node, such as `--expose-gc`; default none. */
  execArgv?: readonly string[]
  env?: Readonly<Record<string, string>>
}

const WORKERS = new URL('./workers/', import.meta.url)
const alive = new Set<Worker>()
let hooked = false

/**
 * Lets the tests of a file or suite start processes, which are killed after each test (or, with `'file'`, after the last one).
 *
 * @returns {@link spawnWorker}
 */
export function useWorkers(lifetime: 'test' | 'file' = 'test'): typeof spawnWorker {
  const hook = lifetime === 'test' ? afterEach : afterAll
  hook(killWorkers)
  return spawnWorker
}

/**
 * Starts a Node process.
 *
 * @param file in `test/support/workers/`, or a URL
 * @param args what `args` of `workers/channel.mjs` gives it
 */
export function spawnWorker(file: string | URL, args: unknown = {}, options: SpawnOptions = {}): Worker {
  const worker = new Worker(new URL(file, WORKERS), args, options)
  if (!hooked) process.on('exit', () => alive.forEach((left) => left.signal('SIGKILL')))
  hooked = true
  alive.add(worker)
  void worker.exited.then(() => alive.delete(worker))
  return worker
}

/** Kills all that are alive, and resolves when they are gone. */
export async function killWorkers(): Promise<void> {
  await Promise.all([...alive].map((worker) => worker.kill()))
}

/** A Node process of a test, and the messages it sent. */
export class Worker {
  /** All messages so far, the oldest first. */
  readonly messages: Message[] = []
  /** Settles when the process has ended, however it did. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  readonly #child: ChildProcess
  readonly #unread: Message[] = []
  readonly #waiting = new Set<Waiting>()
  readonly #listeners = new Set<(message: Message) => void>()
  #output = ''
  #ended = false

  constructor(file: URL, args: unknown, { execArgv = [], env = {} }: SpawnOptions) {
    const child = fork(fileURLToPath(file), {
      // Not those of the test runner.
      execArgv: [...execArgv],
      env: { ...process.env, ...env },
      // Knows BigInt and Infinity, which JSON does not.
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#child = child
    const note = noteOf(this.pid)
    if (note) writeFileSync(note, `${this.pid}`)
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (this.#output += chunk))
    child.on('message', (message) => this.receive(message as Message))
    child.on('error', (error) => (this.#output += error))
    this.exited = new Promise((resolve) => {
      // 'close' comes behind 'exit', when its last output and messages are here too.
      child.once('close', (code, signal) => {
        this.#ended = true
        if (note) rmSync(note, { force: true })
        for (const waiting of this.#waiting) waiting.reject(this.error(`ended (${signal ?? code}) without a message '${waiting.type}'`))
        resolve({ code, signal })
      })
    })
    this.send({ type: 'args', args })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** What it printed, to either stream. */
  get output(): string {
    return this.#output
  }

  /** Goes nowhere when the process has ended. */
  send(message: Message): void {
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  /** Calls `listener` for every message from now on. */
  onMessage(listener: (message: Message) => void): void {
    this.#listeners.add(listener)
  }

  /**
   * Resolves to the oldest message of a type that was not yet waited for.
   *
   * @param timeoutMs default 10,000
   * @throws Error when it does not come in time, or the process ends without it; with what the process printed
   */
  async next(type: string, timeoutMs = 10_000): Promise<Message> {
    const index = this.#unread.findIndex((message) => message.type === type)
    const [unread] = index === -1 ? [] : this.#unread.splice(index, 1)
    if (unread) return unread
    if (this.#ended) throw this.error(`has ended without a message '${type}'`)
    let timer: NodeJS.Timeout | undefined
    let waiting: Waiting | undefined
    try {
      return await new Promise<Message>((resolve, reject) => {
        waiting = { type, resolve, reject }
        this.#waiting.add(waiting)
        timer = setTimeout(() => reject(this.error(`sent no message '${type}' within ${timeoutMs} ms`)), timeoutMs)
      })
    } finally {
      clearTimeout(timer)
      if (waiting) this.#waiting.delete(waiting)
    }
  }

  /** Sends a signal, and does not wait. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Sends a signal that ends it, SIGKILL by default, and resolves when it is gone. Harmless when it is gone already. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    this.signal(signal)
    return this.exited
  }

  /** SIGSTOP. Resolves when it stands still. */
  async pause(): Promise<void> {
    this.signal('SIGSTOP')
    if (process.platform === 'linux') await until(() => processState(this.pid) !== 'running', { everyMs: 1, what: 'it stands still' })
  }

  /** SIGCONT. */
  resume(): void {
    this.signal('SIGCONT')
  }

  private receive(message: Message): void {
    this.messages.push(message)
    for (const listener of this.#listeners) listener(message)
    for (const waiting of this.#waiting) {
      if (waiting.type !== message.type) continue
      this.#waiting.delete(waiting)
      return waiting.resolve(message)
    }
    this.#unread.push(message)
  }

  private error(what: string): Error {
    return new Error(`process ${this.pid} ${what}${this.#output && `; it printed:\n${this.#output}`}`)
  }
}

interface Waiting {
  readonly type: string
  readonly resolve: (message: Message) => void
  readonly reject: (error: Error) => void
}

/** Where global-setup.ts looks for processes that were left over. */
function noteOf(pid: number): string | undefined {
  const folder = process.env.HALOCKSMITH_RUN_FOLDER
  return folder && join(folder, `worker-${pid}.pid`)
}
