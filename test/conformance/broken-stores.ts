/** Stores with one fault each: proof that the suite would notice. All stand on the memory store, which has none of them. */

import { BROKEN_HAND_OVERS } from './broken-hand-overs.js'
import { BROKEN_LEASES } from './broken-leases.js'
import { BROKEN_OVERVIEWS } from './broken-overviews.js'
import { BROKEN_QUEUES } from './broken-queues.js'
import type { BrokenStore } from './faithful-store.js'

export const BROKEN_STORES: readonly BrokenStore[] = [...BROKEN_QUEUES, ...BROKEN_LEASES, ...BROKEN_OVERVIEWS, ...BROKEN_HAND_OVERS]
