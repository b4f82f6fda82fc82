/** How a test sees what a lock does, and waits for it, without looking at the lock itself. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import type { LockEventName, LockEvents } from '../../src/events.js'
import { safetyMarginMs } from '../../src/lease/validity.js'

type Kind = LockEventName extends `halocksmith:${infer K}` ? K : never

export interface Entry {
  readonly kind: Kind
  /** By the clock of `performance.now()`. */
  readonly atMs: number
  readonly message: Readonly<Record<string, unknown>>
}

const KINDS: readonly Kind[] = ['waiting', 'granted', 'released', 'unknown', 'held', 'lost']

/** What was told of one lock, in order, to all who want it. Looking at a lock makes it look at the clock; this shows what it does without being looked at. */
export class Diary {
  readonly entries: Entry[] = []
  private readonly waiting = new Set<() => void>()
  private readonly listeners = KINDS.map((kind) => {
    const listener = (message: unknown): void => {
      const { name, ...rest } = message as LockEvents['halocksmith:lost']
      if (name === this.name) this.write({ kind, atMs: performance.now(), message: rest })
    }
    subscribe(`halocksmith:${kind}`, listener)
    return { kind, listener }
  })

  constructor(private readonly name: string) {}

  get kinds(): Kind[] {
    return this.entries.map(({ kind }) => kind)
  }

  all(kind: Kind): Entry[] {
    return this.entries.filter((entry) => entry.kind === kind)
  }

  /** Resolves to the `nth` entry of a kind. */
  seen(kind: Kind, nth = 1, timeoutMs = 10_000): Promise<Entry> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const entry = this.all(kind)[nth - 1]
        if (!entry) return
        this.waiting.delete(look)
        clearTimeout(timer)
        resolve(entry)
      }
      const giveUp = () => {
        const seen = this.entries.map((entry) => [entry.kind, (entry.message.error as Error | undefined)?.message])
        reject(new Error(`not within ${timeoutMs} ms: '${kind}' no. ${nth} of ${this.name}; there was: ${JSON.stringify(seen)}`))
      }
      const timer = setTimeout(giveUp, timeoutMs)
      this.waiting.add(look)
      look()
    })
  }

  close(): void {
    for (const { kind, listener } of this.listeners) unsubscribe(`halocksmith:${kind}`, listener)
  }

  private write(entry: Entry): void {
    this.entries.push(entry)
    for (const look of this.waiting) look()
  }
}

/** The moment after which the server may give the lock to somebody else, as far as its holder can know. */
export const endOf = (deadlineMs: number, ttlMs: number): number => deadlineMs + safetyMarginMs(ttlMs)

/**
 * Resolves to what the promise does, and rejects if a timer of `ms` fires before. Timers fire in their order however busy the machine
 * is: a promise that is settled by a timer that is due earlier always wins.
 */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const started = performance.now()
  let timer: NodeJS.Timeout | undefined
  let immediate: NodeJS.Immediate | undefined
  const late = new Promise<never>((_, reject) => {
    const fire = () => {
      const leftMs = started + ms - performance.now()
      if (leftMs > 0) timer = setTimeout(fire, Math.ceil(leftMs))
      else immediate = setImmediate(() => reject(new Error(`not settled within ${ms} ms`)))
    }
    timer = setTimeout(fire, ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    clearImmediate(immediate)
  }
}

/** Resolves to the reason of the signal, which must abort before a timer that is due at that moment fires. */
export function abortedBefore(signal: AbortSignal, atMs: number): Promise<Error> {
  const aborted = new Promise<Error>((resolve) => {
    if (signal.aborted) resolve(signal.reason)
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
  return within(atMs - performance.now(), aborted)
}

/** The error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<Error & { code?: string; key?: string }> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  )
  if ('error' in outcome) return outcome.error
  throw new Error(`it did not reject, it resolved to ${inspect(outcome.value)}`)
}
