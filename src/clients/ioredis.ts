/**
 * The port to a caller's ioredis client, of version 5 or 6, or iovalkey, a copy of version 5.
 *
 * After a lost connection these libraries send unanswered commands again. What the store sends may be sent twice: every request carries
 * an id of its own. Switching it off leaves promises that never settle.
 */

import { CallerClient } from './caller-client.js'
import type { ClientWarning } from './client.js'
import type { Wire, WireEvents } from './connection.js'
import { type IoredisClient, IoredisWire } from './ioredis-wire.js'

export class IoredisPort extends CallerClient {
  readonly library = 'ioredis'
  override readonly warnings: readonly ClientWarning[]
  readonly follows: boolean

  constructor(private readonly client: IoredisClient) {
    super(client)
    this.warnings = warningsOf(client.options)
    this.follows = Boolean(client.options.sentinels)
    this.listen('ready', () => this.tellUp())
    this.listen('error', (error: unknown) => {
      this.lastError = error
    })
    // Once for every failed attempt, and for every loss.
    this.listen('close', () => this.tellDown())
    this.listen('end', () => this.tellDown())
  }

  get isUp(): boolean {
    return !this.closed && this.client.status === 'ready'
  }

  /** A client made with `lazyConnect` connects at its first command; asking for a lock is that. */
  override connect(): void {
    if (this.client.status === 'wait') this.client.connect().catch(() => {})
    else super.connect()
  }

  command(args: readonly string[]): Promise<unknown> {
    if (this.isUp) return this.client.call(...(args as [string, ...string[]])).catch(this.rethrow)
    // Its queue would carry the command out after whoever sent it gave up.
    this.connect()
    return Promise.reject(this.reason)
  }

  protected get isOver(): boolean {
    return this.client.status === 'end'
  }

  /**
   * Always a second connection. Version 6 could hear messages on the caller's own, but then it subscribes again after a loss without
   * seeing to a refusal, which ends the process as an unhandled rejection.
   */
  protected makeWire(events: WireEvents, attemptMs: number): Wire {
    return new IoredisWire(this.client, events, attemptMs)
  }
}

export function keyPrefixWarning(keyPrefix: string | undefined): ClientWarning[] {
  if (!keyPrefix) return []
  const message = `the ioredis client has keyPrefix ${JSON.stringify(keyPrefix)}, which changes the names of locks: use our prefix option instead`
  return [{ code: 'KEY_PREFIX', message }]
}

function warningsOf({ keyPrefix, sentinels, failoverDetector }: IoredisClient['options']): ClientWarning[] {
  const warnings = keyPrefixWarning(keyPrefix)
  if (sentinels && !failoverDetector) {
    const message =
      'the ioredis client follows sentinels without failoverDetector: true, and goes on writing to a replaced primary for seconds'
    warnings.push({ code: 'FAILOVER_DETECTOR', message })
  }
  return warnings
}
