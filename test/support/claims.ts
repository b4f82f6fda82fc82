import { ACQUIRE_DEFAULTS, type HandOverLimits } from '../../src/options.js'
import { Claims } from '../../src/primitives/claims.js'
import type { ClaimReply } from '../../src/store/store.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeStore } from './fake-store.js'

/** The lease that claims ask for unless they say otherwise. */
export const TTL_MS = 30_000

export const HAND_OVER: HandOverLimits = { most: 16, forMs: 50 }

type Granted = Extract<ClaimReply, { status: 'granted' }>

/** Claims on a store that a test answers, at a time that it moves. */
export interface ClaimsScene {
  clock: FakeClock
  store: FakeStore
  claims: Claims
  /** A whole lease from now. */
  granted: () => Granted
  /** Answers everything as a server does that nobody else uses. */
  serve: () => void
}

/** @param given what another scene has already: both then stand on the same */
export function makeClaims(given: Partial<ClaimsScene> & { pid?: number; limits?: HandOverLimits } = {}): ClaimsScene {
  const { clock = new FakeClock(), store = new FakeStore(), pid = 1, limits = HAND_OVER } = given
  const claims = new Claims(store, clock, ACQUIRE_DEFAULTS, { label: undefined, host: 'h', pid }, limits)
  const granted = () => ({ status: 'granted' as const, fencingToken: 7, validUntilMs: clock.now() + TTL_MS })
  const serve = () => {
    store.answer('acquire', granted)
    store.answer('release', () => ({ status: 'released' }))
    store.answer('renew', (_name, _id, ttlMs) => ({ status: 'held', validUntilMs: clock.now() + ttlMs }))
  }
  return { clock, store, claims, granted, serve }
}
