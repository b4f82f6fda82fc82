// @ts-check
/**
 * A lock for the tests of the harness, in the place of the library: enough of it to be obeyed and watched. With `exclusive: false` it
 * lets everybody in at once, and with `tokens: 'falling'` its tokens get smaller, which the harness must notice.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { BareRedis } from '../../../scripts/bare-redis.mjs'

const ACQUIRE = `
  if redis.call('EXISTS', KEYS[1]) == 1 then return nil end
  local token = redis.call('INCRBY', KEYS[2], ARGV[1])
  if ARGV[2] == 'exclusive' then redis.call('SET', KEYS[1], token, 'PX', ARGV[3]) end
  return token`
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`

/** @param {{ port: number, exclusive?: boolean, tokens?: 'growing' | 'falling' }} options */
export function createLocksmith({ port, exclusive = true, tokens = 'growing' }) {
  const connection = BareRedis.connect({ port })

  /**
   * @param {string} name
   * @param {{ ttlMs?: number, signal?: AbortSignal }} [options]
   */
  async function tryAcquire(name, { ttlMs = 10_000 } = {}) {
    const redis = await connection
    const key = `trial:${name}`
    const mode = exclusive ? 'exclusive' : 'open'
    const fencingToken = await redis.command('EVAL', ACQUIRE, 2, key, `${key}:token`, tokens === 'growing' ? 1 : -1, mode, ttlMs)
    if (fencingToken === null) return null
    const end = performance.now() + ttlMs
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(Object.assign(new Error('the lease ended'), { code: 'LOCK_LOST' })), ttlMs).unref()
    return {
      name,
      names: [name],
      fencingToken,
      signal: controller.signal,
      get state() {
        return performance.now() < end ? 'held' : 'lost'
      },
      get remainingMs() {
        return Math.max(0, end - performance.now())
      },
      assertHeld() {
        if (this.state === 'lost') throw Object.assign(new Error('the lease ended'), { code: 'LOCK_LOST' })
      },
      async release() {
        clearTimeout(timer)
        const released = (await redis.command('EVAL', RELEASE, 1, key, fencingToken)) === 1
        return released ? { released } : { released, reason: 'lost' }
      },
    }
  }

  return {
    tryAcquire,
    /**
     * @param {string} name
     * @param {{ ttlMs?: number, signal?: AbortSignal }} [options]
     */
    async acquire(name, options) {
      for (;;) {
        const lock = await tryAcquire(name, options)
        if (lock) return lock
        options?.signal?.throwIfAborted()
        await delay(1, undefined, options?.signal && { signal: options.signal }).catch(() => options?.signal?.throwIfAborted())
      }
    },
    close: async () => (await connection).close(),
  }
}
