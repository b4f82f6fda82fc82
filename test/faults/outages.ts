/** What servers do to those who hold locks and wait for them. */

import type { Lab } from './lab.js'

/** A server that is away until it is back. */
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

/** Something that happens to a server which is there again at once. */
export interface Disturbance {
  readonly what: string
  happens(lab: Lab): Promise<unknown>
}

/** All that the server keeps for us is there afterwards. */
export const HARMLESS: readonly Disturbance[] = [
  {
    what: 'a restart with its data',
    async happens({ server }) {
      await server.kill()
      await server.start()
    },
  },
  { what: 'SCRIPT FLUSH', happens: ({ redis }) => redis.command('SCRIPT', 'FLUSH') },
  { what: 'CLIENT KILL of those that listen', happens: ({ redis }) => redis.killClients(({ sub }) => sub > 0) },
  { what: 'CLIENT KILL of all', happens: ({ redis }) => redis.killClients() },
]

export const RESTART_WITHOUT: Disturbance = { what: 'a restart without its data', happens: ({ server }) => server.restart() }
