/**
 * The conformance suites that our own engines and client ports pass, for those who write others. They need no test framework: every case
 * has a name and a `run` that rejects when the subject does not conform.
 *
 * ```js
 * for (const { name, run } of storeConformance(harness)) test(name, run)
 * ```
 */

export type { ConformanceCase } from './case.js'
export { type ClientHarness, type ClientUnderTest, clientConformance } from './client-conformance.js'
export { FakeClock } from './fake-clock.js'
export { type StoreHarness, type StoreUnderTest, storeConformance } from './store-conformance.js'
