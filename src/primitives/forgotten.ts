/** A held lock that nobody can reach any more can't be released by anybody: it must not be renewed for ever either. */

import type { Keeper } from '../lease/keeper.js'
import type { Lease } from '../lease/lease.js'

interface Kept {
  readonly lease: Lease
  readonly keeper: Keeper
}

let warned = false

const registry = new FinalizationRegistry<Kept>(({ lease, keeper }) => {
  if (!keeper.keeps(lease)) return
  keeper.drop(lease)
  if (warned) return
  warned = true
  const message = `the held lock ${JSON.stringify(lease.terms.name)} was dropped without release(); it is not renewed any more and ends with its lease`
  process.emitWarning(message, { type: 'HalocksmithWarning', code: 'HALOCKSMITH_FORGOTTEN' })
})

/** Stops renewing when `handle`, the only way to the lease, has been collected; warns once in a process. */
export function dropWhenForgotten(handle: object, lease: Lease, keeper: Keeper): void {
  // Most locks are released before their first renewal: the collector need not hear of those.
  lease.watchLater(handle, (watched) => registry.register(watched, { lease, keeper }))
}
