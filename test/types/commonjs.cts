import halocksmith = require('halocksmith')
import clients = require('halocksmith/clients')
import memory = require('halocksmith/memory')
import testing = require('halocksmith/testing')

const lock: halocksmith.LockFunction = halocksmith({ timeout: 120 })

lock('key', (err, release) => {
  const error: Error | null = err
  if (!release) throw error
  const token: number = release.fencingToken
  const lost: boolean = release.signal.aborted
  release()
  release((err) => console.log(err?.message, token, lost))
})
lock((err) => console.log(err))

export async function promises(): Promise<void> {
  const release: halocksmith.Release = await lock('key')
  await release()
  await lock.close()
}

export const accepted: halocksmith.LockFunction[] = [
  halocksmith(),
  halocksmith(6379),
  halocksmith('127.0.0.1:6379'),
  halocksmith(['a:1', 6380, { host: 'b' }]),
  halocksmith({ nodes: ['a:1'], prefix: 'p', retries: 3, retryTimeout: 100, redisClient: {}, tls: {} }),
]

// Every export is a property: values, and types of the same namespace.
const locksmith: halocksmith.Locksmith = halocksmith.createLocksmith({ ttlMs: 1000 })
const options: halocksmith.AcquireOptions = { waitMs: 0, priority: 1 }
export const held: Promise<halocksmith.HeldLock | null> = locksmith.tryAcquire('key', options)
export const isTimeout = (error: unknown): error is halocksmith.LockTimeoutError => error instanceof halocksmith.LockTimeoutError
export class MyError extends halocksmith.LockLostError {}

// @ts-expect-error a number of seconds, not text
halocksmith({ timeout: '120' })
// @ts-expect-error there is no such export
halocksmith.createLocksmiths

export const paths = [typeof clients, typeof memory, typeof testing]
