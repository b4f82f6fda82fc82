/**
 * The engine contract in tests: what `src/store/store.ts` says in words. Each case gets a store of its own, listens as several sessions, and
 * proves what it says by what another observer sees, never by waiting and hoping.
 */

import type { ConformanceCase } from './case.js'
import { claimCases } from './store/claims.js'
import { grantCases } from './store/grants.js'
import { handOverCases } from './store/hand-over.js'
import { Lab, type StoreHarness } from './store/lab.js'
import { leaseCases } from './store/leases.js'
import { nameCases } from './store/names.js'
import { overviewCases } from './store/overview.js'
import { queueCases } from './store/queue.js'
import { releaseCases } from './store/releases.js'
import { requestCases } from './store/requests.js'
import { tokenCases } from './store/tokens.js'
import { trafficCases } from './store/traffic.js'

export type { StoreHarness, StoreUnderTest } from './store/lab.js'

const TOPICS = {
  claims: claimCases,
  requests: requestCases,
  queue: queueCases,
  tokens: tokenCases,
  leases: leaseCases,
  grants: grantCases,
  releases: releaseCases,
  'handing on': handOverCases,
  overview: overviewCases,
  names: nameCases,
  traffic: trafficCases,
}

/**
 * All cases that a store can be held to.
 *
 * ```js
 * for (const { name, skip, run } of storeConformance({ open: () => openMyStore() })) test(name, { skip }, run) // as in node:test
 * ```
 */
export function storeConformance(harness: StoreHarness): ConformanceCase[] {
  return Object.entries(TOPICS).flatMap(([topic, cases]) =>
    cases.map((one) => ({
      name: `${topic}: ${one.name}`,
      skip: one.skip?.(harness) ?? (one.needsLimits ? harness.refusesLimits : undefined),
      async run() {
        const lab = new Lab(await harness.open(), harness)
        try {
          await one.run(lab)
          await lab.clear()
        } catch (error) {
          // What went wrong is told, not that it can't be tidied up after it.
          await lab.close().catch(() => undefined)
          throw error
        }
        await lab.close()
      },
    })),
  )
}
