/** A server behind a proxy, and what can be done to it: for topologies in which clients connect to nothing but what they are told. */

import { type RedisServer, startRedis } from '../../../scripts/redis-server.mjs'
import { onOwnPort } from '../../support/ports.js'
import { RedisProxy } from '../../support/proxy.js'

export class GatedServer {
  private constructor(
    readonly server: RedisServer,
    readonly proxy: RedisProxy,
  ) {}

  static async start(args: readonly string[] = []): Promise<GatedServer> {
    const server = await onOwnPort((port) => startRedis({ port, args }))
    const proxy = await onOwnPort(async (port) => {
      const before = new RedisProxy(server, port)
      await before.accept()
      return before
    })
    return new GatedServer(server, proxy)
  }

  async close(): Promise<void> {
    this.proxy.close()
    this.server.resume()
    await this.server.stop()
  }
}

/** Writes down each change before it answers. */
export const KEEPS_DATA: readonly string[] = ['--appendonly', 'yes', '--appendfsync', 'always']

/** Something that is done to a server. */
export interface Harm {
  /** Behind 'the server' or 'two servers'. */
  readonly what: string
  /** Resolves to what ends it. */
  do(gated: GatedServer): Promise<() => Promise<void> | void>
}

/** It comes back with what it has on disk. */
export const KILLED: Harm = {
  what: 'killed',
  async do({ server }) {
    await server.kill()
    return () => server.start()
  },
}

export const EMPTIED: Harm = {
  what: 'restarted without data',
  async do({ server }) {
    await server.restart()
    return () => {}
  },
}

export const STOPPED: Harm = {
  what: 'stopped (SIGSTOP)',
  async do({ server }) {
    await server.pause()
    return () => server.resume()
  },
}

export const CUT: Harm = {
  what: 'cut off, connections refused',
  async do({ proxy }) {
    proxy.refuse()
    proxy.cut()
    return () => proxy.accept()
  },
}

export const SILENCED: Harm = {
  what: 'cut off without a word',
  async do({ proxy }) {
    proxy.blackHole()
    return () => proxy.heal('reset')
  },
}
