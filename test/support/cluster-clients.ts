/** The clients of a Cluster that are installed for the tests, each made by one function. */

import { createRequire } from 'node:module'
import { toRedisClient } from '../../src/clients/detect.js'
import type { NodeRedisOptions } from '../../src/clients/node-redis-wire.js'
import { createOwnedClusterClient } from '../../src/clients/owned-cluster.js'
import type { ClientUnderTest } from '../../src/testing/client-conformance.js'
import type { Raw } from './libraries.js'

type Seeds = readonly { readonly host: string; readonly port: number }[]

export interface ClusterLibrary {
  readonly name: string
  /** A client as a caller would pass it, and how its owner closes it. */
  make(seeds: Seeds): Promise<{ client: unknown; end(): Promise<unknown> }>
  /** The port to it. */
  connect(seeds: Seeds): Promise<ClientUnderTest>
}

const require = createRequire(import.meta.url)

function ownConnections(name: string, options: NodeRedisOptions = {}): ClusterLibrary {
  const create = (seeds: Seeds) => createOwnedClusterClient({ seeds, options, describe: 'the cluster' })
  return {
    name,
    make: async (seeds) => ({ client: create(seeds), end: async () => {} }),
    connect: async (seeds) => {
      const client = create(seeds)
      client.connect()
      return { client, dispose: async () => {} }
    },
  }
}

function nodeRedisCluster(name: string, module: string, options: object = {}): ClusterLibrary {
  const create = async (seeds: Seeds): Promise<Raw> => {
    const raw = require(module).createCluster({ rootNodes: seeds.map((socket) => ({ socket })), ...options })
    raw.on('error', () => {})
    await raw.connect()
    return raw
  }
  return {
    name,
    make: async (seeds) => {
      const raw = await create(seeds)
      return { client: raw, end: () => raw.disconnect() }
    },
    connect: async (seeds) => {
      const raw = await create(seeds)
      const count = (): number =>
        raw
          .eventNames()
          .filter((event: unknown) => typeof event === 'string')
          .reduce((sum: number, event: string) => sum + raw.listenerCount(event), 0)
      const before = count()
      return {
        client: toRedisClient(raw),
        ownerPing: () => raw.sendCommand('key', false, ['PING']),
        countListeners: () => count() - before,
        dispose: () => raw.disconnect(),
      }
    },
  }
}

export const CLUSTER_LIBRARIES: readonly ClusterLibrary[] = [
  ownConnections('our own connections'),
  ownConnections('our own connections, RESP2', { RESP: 2 }),
  nodeRedisCluster('redis 6', 'redis-6'),
  nodeRedisCluster('redis 6, RESP2', 'redis-6', { RESP: 2 }),
  nodeRedisCluster('redis 6, minimizeConnections', 'redis-6', { minimizeConnections: true }),
  nodeRedisCluster('redis 5', 'redis-5'),
  nodeRedisCluster('redis 4', 'redis-4'),
]
