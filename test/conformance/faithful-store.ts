/** What the broken stores are made of: a store that passes everything on to one without a fault. */

import type {
  ClaimReply,
  ClaimRequest,
  LockStore,
  ReleaseOptions,
  ReleaseReply,
  RenewReply,
  SessionListener,
  StoreFilter,
  Successor,
} from '../../src/memory.js'
import type { FakeClock } from '../../src/testing/fake-clock.js'

/** Changes nothing; each fault overrides what its name says. */
export class FaithfulStore implements LockStore {
  constructor(
    protected readonly inner: LockStore,
    protected readonly clock: FakeClock,
  ) {}

  get claimWindowMs(): number {
    return this.inner.claimWindowMs
  }

  get checkEveryMs(): number {
    return this.inner.checkEveryMs
  }

  get hasAnswered(): boolean {
    return this.inner.hasAnswered
  }

  listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    return this.inner.listen(session, listener)
  }

  acquire(request: ClaimRequest): Promise<ClaimReply> {
    return this.inner.acquire(request)
  }

  renew(name: string, id: string, ttlMs: number, holder?: Successor, minReplicas?: number): Promise<RenewReply> {
    return this.inner.renew(name, id, ttlMs, holder, minReplicas)
  }

  release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    return this.inner.release(name, id, options)
  }

  query(filter: StoreFilter) {
    return this.inner.query(filter)
  }

  forceRelease(name: string): Promise<number> {
    return this.inner.forceRelease(name)
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}

export type StoreClass = new (inner: LockStore, clock: FakeClock) => LockStore

/** A store with a fault, and the beginning of the name of the case that is there to notice it. */
export type BrokenStore = readonly [StoreClass, string]

/** A listener's functions as plain properties, so that one of them can be replaced. */
export function bound(listener: SessionListener): SessionListener {
  return {
    granted: (id, grant) => listener.granted(id, grant),
    changed: (id) => listener.changed(id),
    othersWait: (id) => listener.othersWait(id),
    restored: () => listener.restored(),
    disconnected: (error) => listener.disconnected(error),
    warning: (code, message) => listener.warning(code, message),
  }
}
