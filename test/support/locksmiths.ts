import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach } from 'vitest'
import {
  createLocksmith,
  type LockEventName,
  type LockEvents,
  type LockInfo,
  type Locksmith,
  type LocksmithOptions,
} from '../../src/index.js'
import { inMode } from './mode.mjs'
import type { TestRedis } from './redis.js'
import { until } from './until.js'

/** Lets the tests of a file or suite make locksmiths on a server, which are closed after each test. */
export function useLocksmiths(redis: TestRedis): (options?: LocksmithOptions) => Locksmith {
  const open: Locksmith[] = []
  afterEach(async () => {
    await Promise.all(open.splice(0).map((locksmith) => locksmith.close()))
  })
  return (options = {}) => {
    const elsewhere = options.client !== undefined || options.nodes !== undefined || options.store !== undefined
    const locksmith = createLocksmith(inMode(elsewhere ? options : { url: redis.url, ...options }))
    open.push(locksmith)
    return locksmith
  }
}

/** Resolves to the waiters of a name as soon as there are so many. */
export async function waitersOf(locksmith: Locksmith, name: string, count = 1): Promise<LockInfo[]> {
  return until(
    async () => {
      const { pending } = await locksmith.query({ name })
      return pending.length === count && pending
    },
    { what: `${count} waiters for ${JSON.stringify(name)}` },
  )
}

/** Resolves as soon as nobody waits for a name or holds it. */
export async function free(locksmith: Locksmith, name: string, timeoutMs = 5_000): Promise<void> {
  await until(
    async () => {
      const { held, pending } = await locksmith.query({ name })
      return held.length + pending.length === 0
    },
    { what: `${JSON.stringify(name)} is free`, timeoutMs },
  )
}

/** The messages of one event while `work` runs. */
export async function eventsOf<K extends LockEventName>(event: K, work: () => Promise<unknown>): Promise<LockEvents[K][]> {
  const messages: LockEvents[K][] = []
  const listener = (message: unknown) => void messages.push(message as LockEvents[K])
  subscribe(event, listener)
  try {
    await work()
  } finally {
    unsubscribe(event, listener)
  }
  return messages
}

/** What a promise rejects with. @throws Error when it resolves */
export async function errorOf(promise: Promise<unknown>): Promise<any> {
  const outcome = await promise.then(
    () => ({ resolved: true }),
    (error) => ({ resolved: false, error }),
  )
  if ('error' in outcome) return outcome.error
  throw new Error('it resolved')
}
