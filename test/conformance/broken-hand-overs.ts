/** Faults of what a process needs that hands locks on: who else waits, tokens to spare, who holds it by now. */

import type { ClaimReply, ClaimRequest, ReleaseOptions, ReleaseReply, RenewReply, SessionListener, Successor } from '../../src/memory.js'
import { type BrokenStore, bound, FaithfulStore } from './faithful-store.js'

class CountsOnlyTheOthers extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'waiting' ? { ...reply, waiters: (reply.waiters ?? 0) - 1 } : reply
  }
}

class CountsWhoeverCame extends FaithfulStore {
  private count = 0

  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    if (reply.status !== 'waiting') return reply
    this.count = Math.max(this.count, reply.waiters ?? 0)
    return { ...reply, waiters: this.count }
  }
}

class ReplySaysThatNobodyWaits extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'granted' ? { ...reply, othersWait: false } : reply
  }
}

class ReplySaysThatOthersWait extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'granted' ? { ...reply, othersWait: true } : reply
  }
}

class PushSaysThatNobodyWaits extends FaithfulStore {
  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    return super.listen(session, { ...bound(listener), granted: (id, grant) => listener.granted(id, { ...grant, othersWait: false }) })
  }
}

class PushSaysThatOthersWait extends FaithfulStore {
  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    return super.listen(session, { ...bound(listener), granted: (id, grant) => listener.granted(id, { ...grant, othersWait: true }) })
  }
}

class LoneWaiterHearsNothing extends FaithfulStore {
  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    return super.listen(session, { ...bound(listener), othersWait: () => undefined })
  }
}

class OwnClaimsAreOthers extends FaithfulStore {
  private readonly listeners = new Map<string, SessionListener>()

  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    this.listeners.set(session, listener)
    return super.listen(session, { ...bound(listener), othersWait: () => undefined })
  }

  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const { pending } = await this.inner.query({ name: request.name })
    const [lone, ...more] = pending.map(({ id }) => id)
    const reply = await super.acquire(request)
    if (lone !== undefined && lone !== request.id && more.length === 0 && reply.status === 'waiting') {
      this.listeners.get(lone.slice(0, lone.indexOf('.')))?.othersWait(lone)
    }
    return reply
  }
}

class EveryWaiterIsTold extends FaithfulStore {
  private readonly listeners = new Map<string, SessionListener>()

  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    this.listeners.set(session, listener)
    return super.listen(session, { ...bound(listener), othersWait: () => undefined })
  }

  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    const { pending } = await this.inner.query({ name: request.name })
    const sessions = pending.map(({ id }) => id.slice(0, id.indexOf('.')))
    for (const [i, session] of sessions.entries()) {
      if (sessions.some((other) => other !== session)) this.listeners.get(session)?.othersWait(pending[i]?.id as string)
    }
    return reply
  }
}

class ReportedTokenIsForgotten extends FaithfulStore {
  override release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    return super.release(name, id, { ...options, fencingToken: 0 })
  }
}

class ReportedTokenIsForgottenWhenKept extends FaithfulStore {
  override release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    return super.release(name, id, options?.keepMs ? { ...options, fencingToken: 0 } : options)
  }
}

class AnybodyMayReportTokens extends FaithfulStore {
  private reported = 0

  override release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    this.reported = Math.max(this.reported, options?.fencingToken ?? 0)
    return super.release(name, id, options)
  }

  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'granted' && this.reported > 0 ? { ...reply, fencingToken: ++this.reported } : reply
  }
}

class RenewalForgetsTheHolder extends FaithfulStore {
  override renew(name: string, id: string, ttlMs: number): Promise<RenewReply> {
    return super.renew(name, id, ttlMs)
  }
}

class RenewalForgetsTheInfo extends FaithfulStore {
  override renew(name: string, id: string, ttlMs: number, holder?: Successor): Promise<RenewReply> {
    return super.renew(name, id, ttlMs, holder && { ...holder, info: holder.info.trim() })
  }
}

class RenewalWithAHolderDoesNotRenew extends FaithfulStore {
  override renew(name: string, id: string, ttlMs: number, holder?: Successor): Promise<RenewReply> {
    return super.renew(name, id, holder === undefined ? ttlMs : 1, holder)
  }
}

class RenewalWithAHolderBringsItBack extends FaithfulStore {
  override async renew(name: string, id: string, ttlMs: number, holder?: Successor): Promise<RenewReply> {
    const reply = await super.renew(name, id, ttlMs, holder)
    if (reply.status === 'held' || holder === undefined) return reply
    const claim = { name, id, mode: 'exclusive', permits: 1, limit: 0, info: holder.info } as const
    const again = await this.inner.acquire({ ...claim, ttlMs, priority: 0, ticket: 0, queue: false })
    return again.status === 'granted' ? { status: 'held', validUntilMs: again.validUntilMs } : reply
  }
}

/** Larger at every grant, which is all that it takes where nobody counts on from them. */
class TokensAreCounted extends FaithfulStore {
  private last = 0

  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'granted' ? { ...reply, fencingToken: ++this.last } : reply
  }

  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    return super.listen(session, {
      ...bound(listener),
      granted: (id, grant) => listener.granted(id, { ...grant, fencingToken: ++this.last }),
    })
  }
}

class CanAlwaysHandOn extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    const reply = await super.acquire(request)
    return reply.status === 'granted' ? { ...reply, canHandOn: true } : reply
  }
}

class WaiterStaysAsItCame extends FaithfulStore {
  private readonly infos = new Map<string, string>()

  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    const info = this.infos.get(request.id) ?? request.info
    this.infos.set(request.id, info)
    return super.acquire({ ...request, info })
  }
}

export const BROKEN_HAND_OVERS: readonly BrokenStore[] = [
  [CountsOnlyTheOthers, 'handing on: a waiter is told how many wait'],
  [CountsWhoeverCame, 'handing on: a waiter is told how many wait'],
  [ReplySaysThatNobodyWaits, 'handing on: a grant that is a reply says'],
  [ReplySaysThatOthersWait, 'handing on: a grant that is a reply says'],
  [PushSaysThatNobodyWaits, 'handing on: a grant that is pushed says'],
  [PushSaysThatOthersWait, 'handing on: a grant that is pushed says'],
  [LoneWaiterHearsNothing, 'handing on: a lone waiter hears'],
  [OwnClaimsAreOthers, 'handing on: a lone waiter hears'],
  [EveryWaiterIsTold, 'handing on: a lone waiter hears'],
  [ReportedTokenIsForgotten, 'handing on: a release that reports a token makes'],
  [ReportedTokenIsForgottenWhenKept, 'handing on: a release that reports a token makes'],
  [AnybodyMayReportTokens, 'handing on: a release that reports a smaller token'],
  [RenewalForgetsTheHolder, 'handing on: a renewal that names the holder'],
  [RenewalForgetsTheInfo, 'handing on: a renewal that names the holder'],
  [RenewalWithAHolderDoesNotRenew, 'handing on: a renewal that names the holder'],
  [RenewalWithAHolderBringsItBack, 'handing on: a renewal of what is lost shows'],
  [TokensAreCounted, 'handing on: whoever comes after an exclusive holder'],
  [TokensAreCounted, 'handing on: behind the token of a counted grant'],
  [CanAlwaysHandOn, 'handing on: larger tokens are not the holder’s own'],
  [WaiterStaysAsItCame, 'handing on: a waiter that asks again is shown'],
]
