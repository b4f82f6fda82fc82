import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith } from '../../src/index.js'
import { errorOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { onOwnPort } from '../support/ports.js'

/** Q4: one of several servers is restarted with what it had on disk, which is not all that it had granted. */

const KEEPS_DATA = ['--appendonly', 'yes', '--appendfsync', 'always']
const TTL_MS = 8_000

/** Three servers, of which the one in the middle writes to disk when it is told to, or always; and two processes that lock on them. */
async function quorum(middle: readonly string[]): Promise<{ servers: RedisServer[]; holder: Locksmith; other: Locksmith }> {
  const redis = inject('redisProgram')
  if (redis.path === null) throw new Error(redis.reason)
  const servers = await Promise.all([KEEPS_DATA, middle, KEEPS_DATA].map((args) => onOwnPort((port) => startRedis({ port, args, redis }))))
  onTestFinished(async () => void (await Promise.all(servers.map((server) => server.stop()))))
  const nodes = servers.map(({ port }) => port)
  const [holder, other] = [createLocksmith(inMode({ nodes })), createLocksmith(inMode({ nodes }))]
  onTestFinished(async () => void (await Promise.all([holder, other].map((one) => one.close()))))
  for (const one of [holder, other]) await (await one.acquire('before')).release()
  return { servers, holder, other }
}

/** It was granted by the first two; then the first is gone, and the second comes back. */
async function heldByOneThatRestarts(middle: readonly string[]) {
  const { servers, holder, other } = await quorum(middle)
  const [first, second, third] = servers as [RedisServer, RedisServer, RedisServer]
  if (middle !== KEEPS_DATA) await second.command('SAVE')
  await third.kill()
  const lock = await holder.acquire('k', { ttlMs: TTL_MS, autoExtend: false })
  await second.kill()
  await Promise.all([second.start(), third.start()])
  await first.kill()
  return { lock, other }
}

describe.skipIf(inject('redisProgram').path === null)('a server comes back', () => {
  test('with an old snapshot: it does not help to grant again what it has forgotten', async () => {
    const { lock, other } = await heldByOneThatRestarts([])
    const error = await errorOf(other.acquire('k', { waitMs: 2_000 }))
    expect(lock.state).toBe('held')
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(error.message).toContain('NOVOTE')
  })

  test('with all that it had, as each write was on disk: it votes at once', async () => {
    const { lock, other } = await heldByOneThatRestarts(KEEPS_DATA)
    // By then its connections are there again.
    const free = await other.acquire('another', { waitMs: 5_000 })
    expect(await other.tryAcquire('k')).toBeNull()
    expect(lock.state).toBe('held')
    expect(await free.release()).toEqual({ released: true })
  })
})
