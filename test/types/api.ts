// The public API, name by name: what is missing or has another type here would be missed by somebody's program.
import {
  createLocksmith,
  LockClosedError,
  LockConflictError,
  LockLostError,
  LockOptionError,
  LockTimeoutError,
  LockUnavailableError,
} from 'halocksmith'
import type {
  AcquireOptions,
  HalocksmithOptions,
  HeldLock,
  LockCallback,
  LockInfo,
  Locksmith,
  LocksmithOptions,
  LockStore,
  Mutex,
  NodeAddress,
  ReadWriteLock,
  Release,
  Semaphore,
} from 'halocksmith'

type Same<A, B> = [A, B] extends [B, A] ? true : false
function same<A, B>(_equal: Same<A, B>): void {}

const nodes: NodeAddress[] = ['a', 'a:1', 1, { host: 'a', port: 1 }]
export const locksmithOptions: Required<Omit<LocksmithOptions, 'store'>> = {
  url: '',
  nodes,
  sentinels: nodes,
  sentinelName: 'mymaster',
  failover: 'promote',
  failoverAfterMs: 1,
  client: {},
  prefix: '',
  ttlMs: 1,
  waitMs: Number.POSITIVE_INFINITY,
  redis: {},
  minReplicas: 0,
  name: '',
  handOverLimit: 16,
  handOverMs: 50,
  batchLimit: 128,
  protocol: 'setnx',
  pollMs: 1_000,
}
same<LocksmithOptions['store'], LockStore | undefined>(true)

export const acquireOptions: Required<AcquireOptions> = {
  ttlMs: 1,
  waitMs: 1,
  signal: AbortSignal.timeout(1),
  priority: 0,
  autoExtend: true,
  maxHoldMs: 1,
  minHoldMs: 1,
  minReplicas: 0,
  metadata: { who: 'me' },
}
export const compatOptions: HalocksmithOptions = {
  nodes,
  sentinels: nodes,
  sentinelName: '',
  failover: 'none',
  failoverAfterMs: 1,
  prefix: '',
  timeout: 1,
  retries: 1,
  retryTimeout: 1,
  protocol: 'setnx',
  redisClient: {},
  any: 1,
}
export const callback: LockCallback = (_err, release) => {
  if (release) same<typeof release, Release>(true)
}

export async function locksmithMembers(locksmith: Locksmith): Promise<void> {
  same<Parameters<typeof createLocksmith>[0], LocksmithOptions | undefined>(true)
  const held: HeldLock = await locksmith.acquire('a', acquireOptions)
  const tried: HeldLock | null = await locksmith.tryAcquire(['a', 'b'])
  const used: string = await locksmith.using('a', acquireOptions, (lock) => lock.name)
  const mutex: Mutex = locksmith.mutex('a', { ttlMs: 1 })
  const semaphore: Semaphore = locksmith.semaphore('a', 3)
  const readWrite: ReadWriteLock = locksmith.readWriteLock('a')
  const snapshot: { held: LockInfo[]; pending: LockInfo[] } = await locksmith.query({ name: 'a', prefix: 'b' })
  const removed: number = await locksmith.forceRelease('a')
  const restored: HeldLock = await locksmith.restore(held.serialize())
  await locksmith.close()
  await locksmith[Symbol.asyncDispose]()
  console.log(tried, used, mutex, semaphore, readWrite, snapshot, removed, restored)
}

export async function recipes(mutex: Mutex, semaphore: Semaphore, readWrite: ReadWriteLock): Promise<void> {
  for (const recipe of [mutex, readWrite.read, readWrite.write]) {
    const held: HeldLock = await recipe.acquire({ waitMs: 1 })
    const tried: HeldLock | null = await recipe.tryAcquire()
    const used: number = await recipe.using((lock) => lock.fencingToken)
    console.log(held, tried, used)
  }
  const permits: HeldLock = await semaphore.acquire({ permits: 2 })
  const tried: HeldLock | null = await semaphore.tryAcquire({ permits: 2 })
  const used: boolean = await semaphore.using(() => true)
  console.log(permits, tried, used)
}

export async function heldLock(held: HeldLock): Promise<void> {
  same<HeldLock['state'], 'held' | 'unknown' | 'lost' | 'released'>(true)
  same<HeldLock['names'], readonly string[]>(true)
  same<HeldLock['signal'], AbortSignal>(true)
  const numbers: number[] = [held.fencingToken, held.remainingMs]
  held.assertHeld()
  await held.extend()
  await held.extend(1000)
  const { released, reason } = await held.release()
  same<typeof released, boolean>(true)
  same<typeof reason, 'lost' | 'already released' | undefined>(true)
  await held[Symbol.asyncDispose]()
  console.log(held.name, numbers)
  // @ts-expect-error what one holds can't be changed by hand
  held.fencingToken = 1
}

export function errors(
  error: LockTimeoutError | LockUnavailableError | LockLostError | LockConflictError | LockClosedError | LockOptionError,
): string {
  same<typeof error.code, 'LOCK_TIMEOUT' | 'LOCK_UNAVAILABLE' | 'LOCK_LOST' | 'LOCK_CONFLICT' | 'LOCK_CLOSED' | 'LOCK_OPTION'>(true)
  same<typeof error.key, string | undefined>(true)
  // The code tells the classes apart.
  if (error.code === 'LOCK_OPTION') return error.option
  return String(error.cause)
}

export function lockInfo(info: LockInfo): void {
  same<LockInfo['mode'], 'exclusive' | 'shared'>(true)
  same<LockInfo['limit'], number | null>(true)
  const text: string[] = [info.name, info.clientId, info.label ?? '', info.host ?? '', info.metadata?.who ?? '']
  const numbers: (number | undefined)[] = [info.permits, info.pid, info.fencingToken, info.heldMs, info.expiresInMs]
  const waiting: (number | undefined)[] = [info.waitingMs, info.position, info.priority]
  console.log(text, numbers, waiting)
}
