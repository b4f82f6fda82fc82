/**
 * `halocksmith/memory`: the engine that needs no server, for tests and for programs that are one process; and the types of the engine
 * contract, for whoever writes another one.
 */

export { MemoryStore, type MemoryStoreOptions } from './store/memory-store.js'
export type {
  ClaimRecord,
  ClaimReply,
  ClaimRequest,
  Grant,
  HolderRecord,
  LockStore,
  ReleaseOptions,
  ReleaseReply,
  RenewReply,
  SessionListener,
  StoreFilter,
  Successor,
  WaiterRecord,
} from './store/store.js'
export { OptionFailure, SPARE_TOKENS, StoreFailure, type StoreFailureKind } from './store/store.js'
export type { Clock, Timer } from './util/clock.js'
