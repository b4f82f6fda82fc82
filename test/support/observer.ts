import { afterAll } from 'vitest'
import { createLocksmith, type LockInfo, type Locksmith } from '../../src/index.js'
import type { TestRedis } from './redis.js'
import { until } from './until.js'

/** Looks at a server's locks from the process of the test, which holds none. Times are by the clock that all processes of a machine share. */
export class Observer {
  #locksmith: Locksmith | undefined

  constructor(private readonly redis: TestRedis) {}

  private get locksmith(): Locksmith {
    this.#locksmith ??= createLocksmith({ url: this.redis.url, name: 'observer' })
    return this.#locksmith
  }

  /** Who holds a name, by fencing token, and who waits for it, the next one first. */
  async look(name: string): Promise<{ held: LockInfo[]; pending: LockInfo[] }> {
    const { held, pending } = await this.locksmith.query({ name })
    return { held: held.sort((a, b) => (a.fencingToken ?? 0) - (b.fencingToken ?? 0)), pending }
  }

  /** The processes that hold a name. */
  async holders(name: string): Promise<number[]> {
    const { held } = await this.look(name)
    return held.map(({ pid }) => pid ?? 0)
  }

  /** Resolves when so many claims wait for a name; to the processes that they are from, the next one first. */
  async queued(name: string, count: number, timeoutMs = 10_000): Promise<number[]> {
    const pending = await until(
      async () => {
        const found = await this.look(name)
        return found.pending.length === count && found.pending
      },
      { what: `${count} claims wait for '${name}'`, timeoutMs },
    )
    return pending.map(({ pid }) => pid ?? 0)
  }

  /** Resolves when a process holds a name. */
  async heldBy(name: string, pid: number, timeoutMs = 10_000): Promise<LockInfo> {
    return until(async () => (await this.look(name)).held.find((holder) => holder.pid === pid), {
      what: `process ${pid} holds '${name}'`,
      timeoutMs,
    })
  }

  /** Resolves when a name is held by these processes, each of them once, and by nobody else. */
  async heldByOnly(name: string, pids: readonly number[]): Promise<void> {
    const expected = [...pids].sort().join()
    await until(async () => (await this.holders(name)).sort().join() === expected, { what: `${expected} alone hold '${name}'` })
  }

  /**
   * The moments between which, as the server has it now, the lease of a process ends.
   *
   * @throws Error when the process holds nothing of that name
   */
  async leaseEnd(name: string, pid: number): Promise<{ notBeforeNs: bigint; notAfterNs: bigint; expiresInMs: number }> {
    const askedNs = process.hrtime.bigint()
    const { held } = await this.look(name)
    const answeredNs = process.hrtime.bigint()
    const expiresInMs = held.find((holder) => holder.pid === pid)?.expiresInMs
    if (expiresInMs === undefined) throw new Error(`process ${pid} does not hold '${name}'`)
    // The server tells its time, and when the lease ends, in whole milliseconds.
    return { notBeforeNs: askedNs + ms(expiresInMs - 1), notAfterNs: answeredNs + ms(expiresInMs + 1), expiresInMs }
  }

  /** Resolves when nobody holds a name. */
  async free(name: string, timeoutMs = 10_000): Promise<void> {
    await until(async () => (await this.holders(name)).length === 0, { what: `nobody holds '${name}'`, timeoutMs })
  }

  /** Resolves when the lease of a process, which does not renew it, ends within `leftMs`. */
  async expiringWithin(name: string, pid: number, leftMs: number): Promise<void> {
    await until(async () => (await this.leaseEnd(name, pid)).expiresInMs <= leftMs, {
      what: `the lease of process ${pid} on '${name}' ends within ${leftMs} ms`,
      timeoutMs: 10_000,
    })
  }

  /** Resolves when the lease of a process was renewed, so that more than `leftMs` are left of it. */
  async renewed(name: string, pid: number, leftMs: number): Promise<void> {
    await until(async () => (await this.leaseEnd(name, pid)).expiresInMs > leftMs, {
      what: `the lease of process ${pid} on '${name}' lasts for more than ${leftMs} ms`,
    })
  }

  /** Resolves at a moment by the clock that all processes of a machine share. */
  async pastNs(atNs: bigint): Promise<void> {
    await until(() => process.hrtime.bigint() > atNs, { what: 'that time has passed', timeoutMs: 15_000 })
  }

  /** The server's time in µs, the scale of fencing tokens. */
  async serverTimeUs(): Promise<number> {
    const [seconds, micros] = (await this.redis.command('TIME')) as [string, string]
    return Number(seconds) * 1_000_000 + Number(micros)
  }

  async close(): Promise<void> {
    await this.#locksmith?.close()
    this.#locksmith = undefined
  }
}

/** An observer for the tests of a file. Call it at its top, behind `useRedis`. */
export function useObserver(redis: TestRedis): Observer {
  const observer = new Observer(redis)
  afterAll(() => observer.close())
  return observer
}

/** Milliseconds in nanoseconds. */
export function ms(count: number): bigint {
  return BigInt(Math.round(count * 1_000_000))
}
