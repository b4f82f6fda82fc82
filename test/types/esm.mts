import halocksmith, { createLocksmith, LockTimeoutError } from 'halocksmith'
import type { AcquireOptions, HeldLock, Locksmith, LocksmithOptions } from 'halocksmith'
import * as clients from 'halocksmith/clients'
import * as memory from 'halocksmith/memory'
import * as testing from 'halocksmith/testing'

const lock = halocksmith({ timeout: 120 })
lock('key', (err, release) => {
  console.log(err?.message)
  release?.()
})

const options: LocksmithOptions = { url: 'redis://localhost', redis: { socket: { tls: true } } }
const locksmith: Locksmith = createLocksmith(options)
const acquireOptions: AcquireOptions = { ttlMs: 1000, signal: new AbortController().signal }

export const held: HeldLock = await locksmith.acquire(['a', 'b'], acquireOptions)

try {
  const sum: number = await locksmith.using('key', async (lock) => lock.fencingToken + 1)
  console.log(sum)
} catch (error) {
  if (error instanceof LockTimeoutError) console.log(error.code, error.key)
}

// The default export carries the named ones here too, and they are the same types.
export const same: Locksmith = halocksmith.createLocksmith(options)
export const paths = [typeof clients, typeof memory, typeof testing]

// @ts-expect-error no such option
createLocksmith({ ttl: 1 })
