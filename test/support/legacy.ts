import { afterEach } from 'vitest'
import halocksmith, { type HalocksmithOptions, type LockFunction } from '../../src/index.js'
import type { TestRedis } from './redis.js'

/** Lets the tests of a file make lock functions of 2013 on a server, which are closed after each test. */
export function useLegacy(redis: TestRedis): (options?: HalocksmithOptions) => LockFunction {
  const open: LockFunction[] = []
  afterEach(async () => {
    await Promise.all(open.splice(0).map((lock) => lock.close()))
  })
  return (options = {}) => {
    const lock = halocksmith({ nodes: [redis.port], ...options })
    open.push(lock)
    return lock
  }
}
