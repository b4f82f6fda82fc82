/** Faults of what people see and do, and of names. */

import type { ClaimReply, ClaimRequest, ReleaseOptions, ReleaseReply, RenewReply, SessionListener, StoreFilter } from '../../src/memory.js'
import { type BrokenStore, bound, FaithfulStore } from './faithful-store.js'

class ForceTellsNobody extends FaithfulStore {
  override listen(session: string, listener: SessionListener): Promise<() => Promise<void>> {
    return super.listen(session, { ...bound(listener), changed: () => undefined })
  }
}

class ForceTakesOne extends FaithfulStore {
  override async forceRelease(name: string): Promise<number> {
    const { held } = await this.inner.query({ name })
    const first = held[0]
    return first && (await super.release(name, first.id)).status === 'released' ? 1 : 0
  }
}

class QueryShowsHoldersOnly extends FaithfulStore {
  override async query(filter: StoreFilter) {
    return { held: (await super.query(filter)).held, pending: [] }
  }
}

class PrefixIsAPattern extends FaithfulStore {
  override async query(filter: StoreFilter) {
    const { held, pending } = await super.query({ ...filter, prefix: undefined })
    const pattern = (filter.prefix ?? '')
      .replace(/[\\{}()|^$+.]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')
    const begins = new RegExp(`^${/\[[^\]]*$/.test(pattern) ? '' : pattern}`, 's')
    return { held: held.filter((one) => begins.test(one.name)), pending: pending.filter((one) => begins.test(one.name)) }
  }
}

abstract class NamesMeet extends FaithfulStore {
  abstract encode(name: string): string

  override acquire(request: ClaimRequest): Promise<ClaimReply> {
    return super.acquire({ ...request, name: this.encode(request.name) })
  }

  override renew(name: string, id: string, ttlMs: number): Promise<RenewReply> {
    return super.renew(this.encode(name), id, ttlMs)
  }

  override release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply> {
    return super.release(this.encode(name), id, options)
  }

  override forceRelease(name: string): Promise<number> {
    return super.forceRelease(this.encode(name))
  }
}

class NamesAreTrimmed extends NamesMeet {
  encode = (name: string) => name.trim()
}

class BracesBecomePercents extends NamesMeet {
  encode = (name: string) => name.replaceAll('{', '%7B').replaceAll('}', '%7D')
}

class NamesAreNormalised extends NamesMeet {
  encode = (name: string) => name.normalize('NFC')
}

class FailsInItsOwnWords extends FaithfulStore {
  override async acquire(request: ClaimRequest): Promise<ClaimReply> {
    try {
      return await super.acquire(request)
    } catch (error) {
      throw new Error(String(error))
    }
  }
}

export const BROKEN_OVERVIEWS: readonly BrokenStore[] = [
  [ForceTellsNobody, 'overview: a release by force takes the name from all'],
  [ForceTakesOne, 'overview: a release by force takes the name from all'],
  [QueryShowsHoldersOnly, 'overview: a query shows waiters'],
  [PrefixIsAPattern, 'overview: a query without a filter'],
  [NamesAreTrimmed, 'names: any text is a name'],
  [BracesBecomePercents, 'names: any text is a name'],
  [NamesAreNormalised, 'names: any text is a name'],
  [FailsInItsOwnWords, 'overview: a store that was closed'],
]
