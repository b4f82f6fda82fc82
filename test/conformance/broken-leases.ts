/** Faults of holding and letting go: leases, tokens, releases, requests sent again. */

import type { ClaimReply, ClaimRequest, ReleaseOptions, ReleaseReply, RenewReply } from '../../src/memory.js'
import { type BrokenStore, FaithfulStore } from './faithful-store.js'

class ExpiryCountedFromTheReply extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    if (request.queue) await this.clock.advance(20)
    return reply.status === 'granted' ? { ...reply, validUntilMs: this.clock.now() + request.ttlMs } : reply
  }
}

class RenewalCountedFromTheReply extends FaithfulStore {
  override async renew(name: string, id: string, ttlMs: number): Promise<RenewReply> {
    const reply = await super.renew(name, id, ttlMs)
    await this.clock.advance(20)
    return reply.status === 'held' ? { ...reply, validUntilMs: this.clock.now() + ttlMs } : reply
  }
}

class RenewRecreates extends FaithfulStore {
  override async renew(name: string, id: string, ttlMs: number): Promise<RenewReply> {
    const reply = await super.renew(name, id, ttlMs)
    if (reply.status === 'held') return reply
    const claim = { name, id, mode: 'exclusive', permits: 1, limit: 0 } as const
    const again = await this.inner.acquire({ ...claim, ttlMs, priority: 0, ticket: 0, queue: false, info: '' })
    return again.status === 'granted' ? { status: 'held', validUntilMs: again.validUntilMs } : reply
  }
}

class RenewSaysHeld extends FaithfulStore {
  override async renew(name: string, id: string, ttlMs: number): Promise<RenewReply> {
    await super.renew(name, id, ttlMs)
    return { status: 'held', validUntilMs: this.clock.now() + ttlMs }
  }
}

class RenewShortens extends FaithfulStore {
  override async renew(name: string, id: string, ttlMs: number): Promise<RenewReply> {
    const reply = await super.renew(name, id, 1)
    if (reply.status === 'lost') return reply
    await super.release(name, id, { keepMs: ttlMs })
    return { status: 'held', validUntilMs: this.clock.now() + ttlMs }
  }
}

class TokenOfTheSecond extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'granted' ? { ...reply, fencingToken: Math.floor(reply.fencingToken / 1e6) * 1e6 } : reply
  }
}

class TokenStartsAgainAfterForce extends FaithfulStore {
  private taken = 0

  override async forceRelease(name: string): Promise<number> {
    this.taken = 1e15
    return super.forceRelease(name)
  }

  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'granted' ? { ...reply, fencingToken: reply.fencingToken - this.taken } : reply
  }
}

class StaleOwnerMayRelease extends FaithfulStore {
  override async release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const reply = await super.release(name, id, options)
    if (reply.status === 'absent' && !options?.withdraw) await this.inner.forceRelease(name)
    return reply
  }
}

class AnyIdOfASessionMayRelease extends FaithfulStore {
  override async release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const { held } = await this.inner.query({ name })
    const session = id.split('.')[0]
    const own = held.find((one) => one.id.split('.')[0] === session)
    return super.release(name, own?.id ?? id, options)
  }
}

class ReleaseGrantsNobody extends FaithfulStore {
  override async release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const { held } = await this.inner.query({ name })
    const mine = held.find((one) => one.id === id)
    if (!mine || options?.keepMs) return super.release(name, id, options)
    await this.clock.advance(mine.expiresInMs)
    return { status: 'released' }
  }
}

class PermitLeak extends FaithfulStore {
  override async release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const { held } = await this.inner.query({ name })
    const mine = held.find((one) => one.id === id)
    const reply = await super.release(name, id, options)
    if (mine && mine.permits > 1) {
      const ghost = { name, id: `ghost.${mine.fencingToken}`, mode: mine.mode, permits: 1, limit: mine.limit }
      await this.inner.acquire({ ...ghost, ttlMs: 3_600_000, priority: 0, ticket: 0, queue: false, info: '' })
    }
    return reply
  }
}

class WithdrawLosesAGrant extends FaithfulStore {
  override async release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const { held } = await this.inner.query({ name })
    if (options?.withdraw && held.some((one) => one.id === id)) return { status: 'absent' }
    return super.release(name, id, options)
  }
}

class WithdrawLeavesTheWaiter extends FaithfulStore {
  override async release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const { pending } = await this.inner.query({ name })
    if (pending.some((one) => one.id === id)) return { status: 'absent' }
    return super.release(name, id, options)
  }
}

class LateRequestIsGranted extends FaithfulStore {
  override async release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    const { held, pending } = await this.inner.query({ name })
    if (![...held, ...pending].some((one) => one.id === id)) return { status: 'absent' }
    return super.release(name, id, options)
  }
}

class AbsentReleaseWithdraws extends FaithfulStore {
  override release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    return super.release(name, id, { ...options, withdraw: true })
  }
}

class KeepIgnored extends FaithfulStore {
  override release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    return super.release(name, id, { ...options, keepMs: 0 })
  }
}

class KeepsForTheWholeLease extends FaithfulStore {
  override async release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    if (!options?.keepMs) return super.release(name, id, options)
    return { status: (await super.renew(name, id, 1)).status === 'held' ? 'released' : 'absent' }
  }
}

class IdNotIdempotent extends FaithfulStore {
  private readonly seen = new Map<string, number>()

  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    const times = (this.seen.get(request.id) ?? 0) + 1
    this.seen.set(request.id, times)
    return super.acquire(times === 1 ? request : { ...request, id: `${request.id}x${times}` })
  }
}

class IdOfAWaiterNotIdempotent extends FaithfulStore {
  private count = 0

  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const { pending } = await this.inner.query({ name: request.name })
    const again = pending.some((one) => one.id === request.id)
    this.count += 1
    return super.acquire(again ? { ...request, id: `${request.id}x${this.count}`, ticket: 0 } : request)
  }
}

class HoldersRequestCountsTwice extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const { held } = await this.inner.query({ name: request.name })
    const again = held.some((one) => one.id === request.id)
    if (again && request.mode === 'counted') await this.inner.acquire({ ...request, id: `${request.id}again`, queue: false })
    return super.acquire(request)
  }
}

class AskingAgainDoesNotExtend extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const { held } = await this.inner.query({ name: request.name })
    const again = held.some((one) => one.id === request.id)
    return super.acquire(again ? { ...request, ttlMs: 1 } : request)
  }
}

class ReplicasIgnored extends FaithfulStore {
  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    return super.acquire({ ...request, minReplicas: 0 })
  }
}

class ReplicasOfRenewalsIgnored extends FaithfulStore {
  override renew(name: string, id: string, ttlMs: number): Promise<RenewReply> {
    return super.renew(name, id, ttlMs)
  }
}

export const BROKEN_LEASES: readonly BrokenStore[] = [
  [ExpiryCountedFromTheReply, 'leases: nobody else gets in before the end'],
  [RenewalCountedFromTheReply, 'leases: a renewal makes the lease last that long from now'],
  [RenewRecreates, 'leases: a renewal of what is lost'],
  [RenewSaysHeld, 'leases: a renewal of what is lost'],
  [RenewShortens, 'leases: a renewal never shortens'],
  [TokenOfTheSecond, 'tokens: tokens grow from grant to grant'],
  [TokenStartsAgainAfterForce, 'tokens: tokens grow across'],
  [StaleOwnerMayRelease, 'leases: after the end of a lease its holder may neither'],
  [AnyIdOfASessionMayRelease, 'releases: whoever holds nothing releases nothing'],
  [ReleaseGrantsNobody, 'grants: a release grants to the next and tells it'],
  [PermitLeak, 'traffic: no permit leaks'],
  [WithdrawLosesAGrant, 'releases: a waiter that is withdrawn just as it was granted'],
  [WithdrawLeavesTheWaiter, 'releases: a waiter that is withdrawn is out of the queue'],
  [LateRequestIsGranted, 'releases: a request that comes after its withdrawal is refused, and harms'],
  [AbsentReleaseWithdraws, 'releases: whoever holds nothing releases nothing'],
  [KeepIgnored, 'releases: a kept name stays taken'],
  [KeepsForTheWholeLease, 'releases: a kept name stays taken'],
  [IdNotIdempotent, 'requests: the request of a holder, sent again, finds its own grant'],
  [IdOfAWaiterNotIdempotent, 'requests: the request of a waiter, sent again, finds its own place'],
  [HoldersRequestCountsTwice, 'requests: permits are counted once'],
  [ReplicasIgnored, 'claims: more replicas than there are'],
  [ReplicasOfRenewalsIgnored, 'claims: more replicas than there are'],
  [AskingAgainDoesNotExtend, 'requests: the request of a holder, sent again, makes its lease whole'],
]
