/** Processes that contend for locks while servers fail, as the test's process sees them. */

import type { FencedResource } from './fenced-resource.js'
import { spawnWorker, type Worker } from './processes.js'

/** How a process reaches the locks; all of it can be cloned. */
export interface Source {
  /** What its locksmith is made with. */
  readonly options: Readonly<Record<string, unknown>>
  /** A client that it makes itself; default: the locksmith connects by its own options. */
  readonly client?: CallersClient
}

export interface CallersClient {
  readonly module: string
  /** A function or a class that the module exports. */
  readonly make: string
  readonly args: readonly unknown[]
}

/** A name that is contended for. */
export interface Contended {
  readonly name: string
  /** How long it is held. */
  readonly holdMs: readonly [least: number, most: number]
  /** How often it is chosen, compared with the others. */
  readonly weight: number
}

export interface ContenderArgs {
  readonly source: Source
  readonly seed: number
  readonly names: readonly Contended[]
  /** At work at once. */
  readonly claims: number
  readonly ttlMs: number
}

/** Somebody was inside, as far as the lock said that it was held. */
export interface Hold {
  readonly name: string
  /** The process and its claim. */
  readonly holder: string
  readonly fencingToken: number
  /** By the monotonic clock that all processes of a machine share. */
  readonly enterNs: bigint
  readonly leaveNs: bigint
  /** It ended with a loss, not with a release. */
  readonly lost: boolean
}

export interface ContenderReport {
  readonly holds: Hold[]
  /** How claims ended. */
  readonly claims: Record<'granted' | 'busy' | 'timedOut' | 'unavailable' | 'aborted', number>
  lost: number
  /** Releases that the server refused. */
  unreleased: number
  /** What must not be, in words. */
  readonly troubles: string[]
}

/** That a process had a name after all faults were over. */
export interface Proof {
  readonly name: string
  /** Undefined when it had not. */
  readonly atNs: bigint | undefined
  readonly why: string
}

/** A process that was told to come to an end, and how it did. */
export interface Outcome {
  readonly report: ContenderReport
  readonly proofs: readonly Proof[]
  /** Of the process; null when it did not end by itself. */
  readonly exitCode: number | null
  /** What it printed. */
  readonly output: string
}

/** How long a process with nothing left to do may take to end. */
const END_MS = 10_000

export class Contender {
  private constructor(readonly process: Worker) {}

  /** Resolves when its locksmith is made. */
  static async start(args: ContenderArgs, resource: FencedResource): Promise<Contender> {
    const worker = spawnWorker('contender.mjs', args)
    worker.onMessage(({ type, id, name, holder, fencingToken }) => {
      if (type === 'write') worker.send({ type: 'written', id, accepted: resource.write({ name, holder, fencingToken }) })
    })
    await worker.next('ready', 20_000)
    return new Contender(worker)
  }

  /** It contends from now on. */
  go(): void {
    this.process.send({ type: 'go' })
  }

  /** Begins no further claim, but one on each name, which waits for `waitMs`; closes all, and ends. `withinMs` is for all of this. */
  async settle(waitMs: number, withinMs: number): Promise<Outcome> {
    const { process } = this
    process.send({ type: 'settle', waitMs })
    const { report, proofs } = await process.next('report', withinMs)
    process.send({ type: 'leave' })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), END_MS)))
    const exit = await Promise.race([process.exited, late])
    clearTimeout(timer)
    return { report, proofs, exitCode: exit?.code ?? null, output: process.output }
  }
}
