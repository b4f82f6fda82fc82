/** The ways in which a server can be away, as a holder or a waiter meets them. */

import type { Lab } from './lab.js'

export interface Outage {
  readonly what: string
  /** Nothing tells that the server is away: only requests that nobody answers, each for two seconds, show it. */
  readonly silent: boolean
  begin(lab: Lab): Promise<void> | void
  end(lab: Lab): Promise<void> | void
}

export const KILLED: Outage = {
  what: 'a killed server',
  silent: false,
  begin: ({ server }) => server.kill(),
  end: ({ server }) => server.start(),
}

export const PAUSED: Outage = {
  what: 'a server that stands still',
  silent: true,
  begin: ({ server }) => server.pause(),
  end: ({ server }) => server.resume(),
}

export const CUT: Outage = {
  what: 'a cut connection',
  silent: false,
  begin({ proxy }) {
    proxy.refuse()
    proxy.cut()
  },
  end: ({ proxy }) => proxy.accept(),
}

export const BLACK_HOLE: Outage = {
  what: 'a black hole',
  silent: true,
  begin: ({ proxy }) => proxy.blackHole(),
  end: ({ proxy }) => proxy.heal(),
}
