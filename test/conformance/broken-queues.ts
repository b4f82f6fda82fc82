/** Faults of waiting and granting: order, places, limits, wake-ups. */

import type { ClaimReply, ClaimRequest, Grant, SessionListener } from '../../src/memory.js'
import { type BrokenStore, bound, FaithfulStore } from './faithful-store.js'

class LostWakeUp extends FaithfulStore {
  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    return super.listen(session, { ...bound(listener), granted: () => undefined })
  }
}

class WakesEverybody extends FaithfulStore {
  private readonly listeners = new Set<SessionListener>()

  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    this.listeners.add(listener)
    const granted = (id: string, grant: Grant) => this.listeners.forEach((one) => one.granted(id, grant))
    return super.listen(session, { ...bound(listener), granted })
  }
}

class DeafWaitersAreGranted extends FaithfulStore {
  override async listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    let deaf = false
    const granted = (id: string, grant: Grant) => (deaf ? undefined : listener.granted(id, grant))
    await super.listen(session, { ...bound(listener), granted })
    return async () => {
      deaf = true
    }
  }
}

class PushedGrantIsAWholeLease extends FaithfulStore {
  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    const granted = async (id: string, grant: Grant) => {
      const { held } = await this.inner.query({})
      const mine = held.find((one) => one.id === id)
      if (mine) await this.inner.renew(mine.name, id, 60_000)
      listener.granted(id, grant)
    }
    return super.listen(session, { ...bound(listener), granted })
  }
}

class PushedGrantIsToldTooLong extends FaithfulStore {
  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    const granted = (id: string, grant: Grant) => listener.granted(id, { ...grant, validUntilMs: grant.validUntilMs + 30 })
    return super.listen(session, { ...bound(listener), granted })
  }
}

class LastComeFirstServed extends FaithfulStore {
  private count = 0

  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    this.count += 1
    return super.acquire({ ...request, priority: request.priority + this.count })
  }
}

class PriorityIgnored extends FaithfulStore {
  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    return super.acquire({ ...request, priority: 0 })
  }
}

class PriorityAsText extends FaithfulStore {
  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    const text = String(request.priority).padEnd(8, ' ')
    const priority = [...text].reduce((sum, letter) => sum * 128 + letter.charCodeAt(0), 0)
    return super.acquire({ ...request, priority })
  }
}

class Barging extends FaithfulStore {
  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    return super.acquire({ ...request, priority: request.mode === 'counted' ? 1_000 - request.permits : request.priority })
  }
}

class ReadersFirst extends FaithfulStore {
  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reader = request.mode === 'counted' && request.limit === 0
    return super.acquire({ ...request, priority: reader ? 10 : request.priority })
  }
}

class WritersFirst extends FaithfulStore {
  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    return super.acquire({ ...request, priority: request.mode === 'exclusive' ? 10 : request.priority })
  }
}

class TicketIgnored extends FaithfulStore {
  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    return super.acquire({ ...request, ticket: 0 })
  }
}

class BusyAttemptWaits extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire({ ...request, queue: true })
    return reply.status === 'waiting' && !request.queue ? { status: 'busy' } : reply
  }
}

class NextEndIsNever extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'waiting' ? { ...reply, nextEndMs: reply.nextEndMs + 3_600_000 } : reply
  }
}

class LimitConflictIgnored extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'conflict' ? super.acquire({ ...request, limit: reply.limit }) : reply
  }
}

class ConflictWithWritersToo extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const { held } = await this.inner.query({ name: request.name })
    const counted = held.find((one) => one.mode === 'counted' && one.limit > 1)
    if (counted && request.mode === 'exclusive') return { status: 'conflict', limit: counted.limit }
    return super.acquire(request)
  }
}

export const BROKEN_QUEUES: readonly BrokenStore[] = [
  [LostWakeUp, 'grants: a release grants to the next and tells it'],
  [WakesEverybody, 'grants: only whoever was granted is told'],
  [DeafWaitersAreGranted, 'grants: a waiter whose session is gone is passed over at once'],
  [PushedGrantIsAWholeLease, 'grants: a pushed grant that nobody confirms'],
  [PushedGrantIsToldTooLong, 'grants: a pushed grant stands for a claim window'],
  [LastComeFirstServed, 'queue: equal claims'],
  [PriorityIgnored, 'queue: a higher priority goes first'],
  [PriorityAsText, 'queue: priorities are numbers'],
  [Barging, 'queue: a claim that does not fit yet blocks'],
  [ReadersFirst, 'queue: a writer that waits stops readers'],
  [WritersFirst, 'queue: a reader that waits stops writers'],
  [TicketIgnored, 'requests: a ticket brings a claim back'],
  [BusyAttemptWaits, 'claims: a single attempt at a taken name'],
  [NextEndIsNever, 'claims: a taken name makes a claim wait'],
  [LimitConflictIgnored, 'claims: another limit is a conflict'],
  [ConflictWithWritersToo, 'claims: an exclusive claim conflicts with no limit'],
]
