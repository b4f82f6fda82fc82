import { type Message, type SpawnOptions, spawnWorker, type Worker } from './processes.js'
import { until } from './until.js'
import type { CycleJob, CycleReport } from './workers/cycles.mjs'
import type { Recipe } from './workers/recipes.mjs'

export type { CycleJob, CycleReport } from './workers/cycles.mjs'
export type { Recipe } from './workers/recipes.mjs'

/** An acquire in another process. */
export interface RemoteRequest {
  name: string | string[]
  /** How the lock is called in later calls; default: one is made up, and is in the answer. */
  handle?: string
  /** Default: the locksmith's own `acquire`. */
  recipe?: Recipe
  /** Those of `acquire`, but for its signal: see {@link LockWorker.abort}. */
  options?: Readonly<Record<string, unknown>>
}

/** A lock that another process got. Times are by the clock that all processes of a machine share. */
export interface RemoteLock {
  readonly handle: string
  readonly fencingToken: number
  readonly name: string
  readonly names: readonly string[]
  readonly state: string
  readonly remainingMs: number
  readonly atNs: bigint
}

/** What another process sees of a lock at one moment. */
export interface RemoteState {
  readonly state: string
  readonly remainingMs: number
  /** Of its signal. */
  readonly aborted: boolean
  /** Whether `assertHeld()` passes. */
  readonly held: boolean
  readonly error?: RemoteErrorInfo
  readonly atNs: bigint
}

export interface RemoteErrorInfo {
  readonly name: string
  readonly code?: string
  readonly message: string
}

/** An error that another process met: `name`, `code` and message are those of the original. */
class RemoteError extends Error {
  readonly code: string | undefined
  constructor(info: RemoteErrorInfo) {
    super(info.message)
    this.name = info.name
    this.code = info.code
  }
}

export interface LockWorkerArgs {
  /** What its locksmith is made with: `{ url: redis.url }`. Anything that can be cloned. */
  locksmith: Readonly<Record<string, unknown>>
  /** What `createLocksmith` is imported from; default: `halocksmith`, as it was built into `dist/`. */
  module?: string
}

/** Starts a process with a locksmith of its own, and resolves when that is made. It is killed like every other worker. */
export async function spawnLockWorker(args: LockWorkerArgs, options?: SpawnOptions): Promise<LockWorker> {
  const worker = new LockWorker(spawnWorker('lock-worker.mjs', args, options))
  await worker.process.next('ready')
  return worker
}

/** A locksmith in another process. Every method rejects with a `RemoteError` for an error there. */
export class LockWorker {
  #lastCall = 0
  #ended: Error | undefined
  readonly #calls = new Map<number, { resolve: (value: any) => void; reject: (error: Error) => void }>()

  constructor(
    /** To kill, pause and resume it. */
    readonly process: Worker,
  ) {
    process.onMessage((message) => this.settle(message))
    void process.exited.then(({ code, signal }) => {
      this.#ended = new Error(`the lock worker ${process.pid} has ended (${signal ?? code})\n${process.output}`)
      for (const { reject } of this.#calls.values()) reject(this.#ended)
    })
  }

  acquire(request: RemoteRequest): Promise<RemoteLock> {
    return this.call('acquire', request)
  }

  tryAcquire(request: RemoteRequest): Promise<RemoteLock | null> {
    return this.call('tryAcquire', request)
  }

  /** Aborts an acquire that was called with this handle. */
  abort(handle: string, reason = 'aborted by the test'): Promise<void> {
    return this.call('abort', { handle, reason })
  }

  release(handle: string): Promise<{ released: boolean; reason?: string; atNs: bigint }> {
    return this.call('release', { handle })
  }

  extend(handle: string, ttlMs?: number): Promise<void> {
    return this.call('extend', { handle, ttlMs })
  }

  /** State, signal and `assertHeld()`, all at one moment. */
  look(handle: string): Promise<RemoteState> {
    return this.call('look', { handle })
  }

  /** Resolves when the signal of a lock has fired, with the moment at which it did. */
  async lost(handle: string, timeoutMs = 5_000): Promise<{ fencingToken: number; atNs: bigint; error: RemoteErrorInfo }> {
    const { messages } = this.process
    const found = await until(() => messages.find((message) => message.type === 'lost' && message.handle === handle), {
      timeoutMs,
      what: `process ${this.process.pid} reports that '${handle}' is lost`,
    })
    return found as unknown as { fencingToken: number; atNs: bigint; error: RemoteErrorInfo }
  }

  serialize(handle: string): Promise<string> {
    return this.call('serialize', { handle })
  }

  restore(serialized: string, handle?: string): Promise<RemoteLock> {
    return this.call('restore', { serialized, handle })
  }

  query(filter?: { name?: string; prefix?: string }): Promise<{ held: any[]; pending: any[] }> {
    return this.call('query', { filter })
  }

  forceRelease(name: string): Promise<number> {
    return this.call('forceRelease', { name })
  }

  /** Lets go of the lock object without releasing it, for the garbage collector. */
  forget(handle: string): Promise<void> {
    return this.call('forget', { handle })
  }

  /** Closes the locksmith; the process stays. */
  close(): Promise<void> {
    return this.call('close')
  }

  /** From now on only what it does itself keeps the process alive: await `process.exited`. */
  leave(): void {
    this.call('leave').catch(() => {})
  }

  /** Keeps the event loop of the process busy for so long. */
  block(ms: number): Promise<void> {
    return this.call('block', { ms })
  }

  /** From now on looks at a lock every `everyMs`, by default 1, as a user who asks `assertHeld()` before each write. */
  startProbe(handle: string, everyMs?: number): Promise<void> {
    return this.call('startProbe', { handle, everyMs })
  }

  stopProbe(handle: string): Promise<RemoteState[]> {
    return this.call('stopProbe', { handle })
  }

  /** Writes to a key that refuses writes with a smaller token than it has seen. Whether it was accepted. */
  fencedWrite(handle: string, port: number, key: string, value: string): Promise<boolean> {
    return this.call('fencedWrite', { handle, port, key, value })
  }

  /** Locks and unlocks until the job's bounds are reached, or {@link stopCycles}. */
  cycle(job: CycleJob): Promise<CycleReport> {
    return this.call('cycle', job)
  }

  stopCycles(): Promise<void> {
    return this.call('stopCycles')
  }

  private call(method: string, params: object = {}): Promise<any> {
    const id = ++this.#lastCall
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended)
      this.#calls.set(id, { resolve, reject })
      this.process.send({ type: 'call', id, method, params })
    })
  }

  private settle({ type, id, value, error }: Message): void {
    if (type !== 'result') return
    const call = this.#calls.get(id)
    this.#calls.delete(id)
    if (error) call?.reject(new RemoteError(error))
    else call?.resolve(value)
  }
}
