import { vi } from 'vitest'
import type { SessionListener } from '../../src/store/store.js'

/** A listener that remembers what it heard. */
export function makeListener() {
  return {
    granted: vi.fn<SessionListener['granted']>(),
    changed: vi.fn<SessionListener['changed']>(),
    othersWait: vi.fn<SessionListener['othersWait']>(),
    restored: vi.fn<SessionListener['restored']>(),
    disconnected: vi.fn<SessionListener['disconnected']>(),
    warning: vi.fn<SessionListener['warning']>(),
  }
}
