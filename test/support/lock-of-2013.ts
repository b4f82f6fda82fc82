import { setTimeout as delay } from 'node:timers/promises'
import { BareRedis } from '../../scripts/bare-redis.mjs'

/** The algorithm of halocksmith 2 (2013), as it was observed: what `protocol: 'setnx'` shares locks with. */
export class LockOf2013 {
  /** What this process has written last. */
  private until = 0

  private constructor(
    private readonly redis: BareRedis,
    private readonly key: string,
    /** In seconds. */
    private readonly timeout: number,
    private readonly retryTimeoutMs: number,
  ) {}

  static async connect(port: number, key: string, { timeout = 120, retryTimeoutMs = 5 } = {}): Promise<LockOf2013> {
    return new LockOf2013(await BareRedis.connect({ port }), key, timeout, retryTimeoutMs)
  }

  /** One attempt. */
  async attempt(): Promise<boolean> {
    this.until = seconds() + this.timeout
    if ((await this.redis.command('SETNX', this.key, this.until)) === 1) return true
    const present: string | null = await this.redis.command('GET', this.key)
    // Whatever is no number counts as expired, and so does a key that is gone.
    if (Number(present) > seconds()) return false
    return (await this.redis.command('GETSET', this.key, this.until)) === present
  }

  async acquire(): Promise<void> {
    while (!(await this.attempt())) await delay(this.retryTimeoutMs)
  }

  /** False: too late, by this process's clock alone. */
  async release(): Promise<boolean> {
    if (seconds() >= this.until) return false
    await this.redis.command('DEL', this.key)
    return true
  }

  close(): void {
    this.redis.close()
  }
}

function seconds(): number {
  return Math.floor(Date.now() / 1_000)
}
