/** A client whose connection leads to whoever is the primary: each attempt asks anew, and when the primary moves, the connection does. */

import type { Clock } from '../../util/clock.js'
import type { ChannelListener, ClientError, ConnectionListener, NodeCommand, RedisClient } from '../client.js'
import { ClientError as Failure } from '../client.js'
import { toClientError } from '../library-errors.js'
import type { NodeRedisOptions } from '../node-redis-wire.js'
import { createOwnedClient, type OwnedRedisClient } from '../owned.js'
import { type Finder, Lookout } from './lookout.js'

export interface FollowingOptions {
  readonly finder: Finder
  /** What all nodes are connected to with: the limit for an attempt, and how long to wait for the next. */
  readonly options: NodeRedisOptions
  /** Passwords of any of them. */
  readonly secrets: readonly string[]
  /** When the primary was not seen for so long, the connection to it is given up, although it stands. Default: never. */
  readonly doubtAfterMs?: number | undefined
  readonly clock: Clock
}

/** Makes a client that connects at its first use. */
export function createFollowingClient(options: FollowingOptions): RedisClient {
  return new FollowingClient(options)
}

class FollowingClient implements RedisClient {
  readonly library: string
  readonly wake = 'publish'
  readonly follows = true
  readonly warnings = []
  private readonly inner: OwnedRedisClient
  private readonly lookout: Lookout

  constructor({ finder, options, secrets, doubtAfterMs, clock }: FollowingOptions) {
    this.lookout = new Lookout(finder, clock, (reason) => this.inner.redirect(reason), doubtAfterMs)
    const { lookout } = this
    this.inner = createOwnedClient({
      options,
      get describe() {
        return lookout.describe
      },
      locate: async () => (await lookout.locate()).options,
      inspect: expectPrimary,
      secrets,
      clock,
    })
    this.library = this.inner.library
  }

  get isUp(): boolean {
    return this.inner.isUp
  }

  connect(): void {
    this.inner.connect()
  }

  reconnect(): void {
    this.inner.reconnect()
    this.lookout.look()
  }

  lookAgain(): void {
    this.lookout.look()
  }

  command(args: readonly string[]): Promise<unknown> {
    return this.inner.command(args)
  }

  subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    return this.inner.subscribe(channel, listener)
  }

  watch(listener: ConnectionListener): () => void {
    return this.inner.watch(listener)
  }

  keepProcessAlive(active: boolean): void {
    this.lookout.use(active)
    this.inner.keepProcessAlive(active)
  }

  async close(): Promise<void> {
    await Promise.all([this.inner.close(), this.lookout.close()])
  }
}

/** Who names a primary may be behind the times. */
async function expectPrimary(send: NodeCommand): Promise<void> {
  const info = await send(['INFO', 'replication']).catch((error) => toClientError(error))
  // Without the right to ask, its replies to writes tell.
  if (isFailure(info) && info.code === 'REPLY') return
  if (isFailure(info)) throw info
  const role = /^role:(\w+)/m.exec(String(info))?.[1]
  if (role === 'slave') throw new Failure('CONNECTION', 'it is a replica, and not the primary')
}

function isFailure(value: unknown): value is ClientError {
  return value instanceof Failure
}
