/**
 * The engine for a fleet that is being upgraded: locks that processes of the version of 2013 (halocksmith 2) exclude each other with as well.
 *
 * A lock of 2013 is a text at `<prefix><name>`, the Unix second in which it ends; whoever finds it ended takes it over, and its holder deletes
 * it. This engine keeps such a text beside the state of the default protocol (`lua/setnx.lua`), which has the owner, the lease and the token: so
 * tokens grow, a lock is lost and told of, and both protocols of this version exclude each other too. Nothing is pushed: a waiter asks
 * again every `pollMs`, and whoever asks first has it. What processes of 2013 can still do wrong is in docs/guides/upgrading-from-2013.md.
 */

import type { RedisClient } from '../../clients/client.js'
import type { Clock } from '../../util/clock.js'
import { RecentMap } from '../../util/recent-map.js'
import { RedisStore } from '../redis/redis-store.js'
import { type ClaimReply, type ClaimRequest, OptionFailure, type ReleaseOptions, type ReleaseReply } from '../store.js'

export interface SetnxStoreOptions {
  /** Of one server. */
  client: RedisClient
  prefix: string
  clock?: Clock
  /** How often a waiter asks, less up to a fifth. Default 1,000. */
  pollMs?: number | undefined
  batchLimit?: number | undefined
}

/** The interval of the version of 2013. */
const POLL_MS = 1_000
/** Of more requests than this that were never answered it is forgotten that they may come yet: their grants end with their leases. */
const REMEMBERED = 1_000

export class SetnxStore extends RedisStore {
  /** Ids of requests that failed, and that may reach the server yet. */
  private readonly unanswered = new RecentMap<string, true>(REMEMBERED)

  constructor({ pollMs = POLL_MS, ...options }: SetnxStoreOptions) {
    super({ ...options, checkEveryMs: pollMs, protocol: 'setnx' })
  }

  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    if (request.mode !== 'exclusive') throw refusal('has exclusive locks only: the version of 2013 has neither readers nor permits')
    if (request.priority !== 0) throw refusal('knows no priority: there is no queue')
    try {
      return await super.acquire(request)
    } catch (error) {
      this.unanswered.set(request.id, true)
      throw error
    }
  }

  /**
   * The server knows nothing of who waits: a withdrawal would find nothing, and leave a mark behind each wait that was given up. It is needed
   * where a request may come later, and those under way come sooner, on the same connection.
   */
  override release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const withdraw = options?.withdraw === true && this.unanswered.get(id) === true
    return super.release(name, id, { ...options, withdraw })
  }
}

function refusal(reason: string): OptionFailure {
  return new OptionFailure('protocol', 'setnx', reason)
}
