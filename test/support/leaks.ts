import { createHook } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { eventually } from './until.js'

/** How many there are of each kind: `{ Timeout: 1, TCPSocketWrap: 2 }`. */
export type Counts = Readonly<Record<string, number>>

/** What keeps this process alive now. A timer or socket that was unref'd is not in it: see {@link trackResources}. */
export function activeResources(): Counts {
  return countBy(process.getActiveResourcesInfo(), (kind) => kind)
}

/** What there is more of now than in `before`; empty when nothing was left behind. */
export function moreThan(before: Counts, now: Counts): Counts {
  const more = Object.entries(now).map(([kind, count]) => [kind, count - (before[kind] ?? 0)] as const)
  return Object.fromEntries(more.filter(([, count]) => count > 0))
}

/** Asserts that nothing more than in `before` keeps the process alive, or soon will not: closing a socket takes a turn or two. */
export async function expectNoMoreResources(before: Counts, withinMs = 1_000): Promise<void> {
  await eventually(
    () => {
      const more = moreThan(before, activeResources())
      if (Object.keys(more).length > 0) throw new Error(`left behind: ${JSON.stringify(more)}`)
    },
    { what: 'nothing left behind', timeoutMs: withinMs },
  )
}

/** Kinds that end when somebody ends them, and not when the garbage collector comes by, as promises do. */
const TRACKED = new Set(['Timeout', 'Immediate', 'TCPSERVERWRAP', 'TCPWRAP', 'PIPEWRAP', 'PROCESSWRAP', 'FSEVENTWRAP', 'MESSAGEPORT'])

/** Counts what is made from now on and is not yet ended, whether or not it keeps the process alive. */
export interface ResourceTracker {
  /** By kind, as async_hooks calls them: `Timeout`, `TCPWRAP` (a socket), `TCPSERVERWRAP`, … */
  alive(): Counts
  /** Where those that are alive were made, for the failing test's message. */
  origins(kind: string): string[]
  stop(): void
}

/** Also sees timers that were unref'd, as all timers of the library are. Costly: for a test, not for a benchmark. */
export function trackResources(): ResourceTracker {
  const made = new Map<number, { kind: string; stack: string }>()
  const hook = createHook({
    init(id, kind) {
      if (TRACKED.has(kind)) made.set(id, { kind, stack: new Error('made here').stack ?? '' })
    },
    destroy(id) {
      made.delete(id)
    },
  }).enable()
  return {
    alive: () => countBy([...made.values()], ({ kind }) => kind),
    origins: (kind) => [...made.values()].filter((resource) => resource.kind === kind).map(({ stack }) => stack),
    stop: () => void hook.disable(),
  }
}

/** The listeners of an emitter by event, to compare before and after. */
export function listenerCounts(emitter: EventEmitter): Counts {
  return Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]))
}

/** Bytes of heap in use after everything that can be collected was. */
export function heapUsedAfterGc(): number {
  // So that no test run needs the flag on its command line.
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  // The second run takes what finalizers of the first let go.
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

function countBy<T>(items: readonly T[], kindOf: (item: T) => string): Counts {
  const counts: Record<string, number> = {}
  for (const item of items) counts[kindOf(item)] = (counts[kindOf(item)] ?? 0) + 1
  return counts
}
