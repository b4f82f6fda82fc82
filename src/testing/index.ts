/**
 * `halocksmith/testing`: the contracts of this library as tests, for whoever writes an engine or a port to a Redis client library; and a
 * clock that is moved by hand.
 */

export type { ConformanceCase } from './case.js'
export { type ClientHarness, type ClientUnderTest, clientConformance } from './client-conformance.js'
export { FakeClock } from './fake-clock.js'
export { type StoreHarness, type StoreUnderTest, storeConformance } from './store-conformance.js'
