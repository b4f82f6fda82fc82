import { Tenure } from '../../src/lease/tenure.js'
import type { Grant } from '../../src/store/store.js'

/** What a grant was asked for and came with; all but what a test is about has its usual value. */
export interface TenureParts extends Partial<Tenure['asked']>, Partial<Grant> {
  readonly pushed?: boolean
  readonly stray?: boolean
  readonly info?: string
}

/** A lease for the test's `ttlMs`, granted by a reply at `nowMs`, with nothing known about others. */
export function makeTenure(nowMs: number, parts: TenureParts = {}): Tenure {
  const {
    id = 's.1',
    mode = 'exclusive',
    permits = 1,
    limit = 0,
    ttlMs = 30_000,
    priority = 0,
    pushed = false,
    stray = false,
    info = '',
  } = parts
  const { fencingToken = 7, validUntilMs = nowMs + ttlMs, othersWait, canHandOn } = parts
  const grant = { fencingToken, validUntilMs, othersWait, canHandOn }
  return new Tenure({ id, mode, permits, limit, ttlMs, priority }, grant, pushed, stray, info, nowMs)
}
