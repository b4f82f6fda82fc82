/** Which library a caller's client is of. Class names say nothing ("Class", "Commander", "EventEmitter"), so its methods do. */

import { LockOptionError } from '../errors.js'
import type { RedisClient } from './client.js'
import { GlidePort } from './glide.js'
import { GlideClusterPort } from './glide-cluster.js'
import type { GlideClient } from './glide-wire.js'
import { IoredisPort } from './ioredis.js'
import { type IoredisCluster, IoredisClusterPort } from './ioredis-cluster.js'
import type { IoredisClient } from './ioredis-wire.js'
import { type LegacyClient, LegacyPort } from './legacy.js'
import { NodeRedisPort } from './node-redis.js'
import { type NodeRedisCluster, NodeRedisClusterPort } from './node-redis-cluster.js'
import { type NodeRedisSentinel, NodeRedisSentinelPort } from './node-redis-sentinel.js'
import type { NodeRedisClient } from './node-redis-wire.js'

const ACCEPTED = 'a client of redis, @redis/client, ioredis, iovalkey or @valkey/valkey-glide'

/** What a value is taken for: a port to it, or the reason why there is none. */
type Kind = { readonly port: (client: never) => RedisClient } | { readonly refused: string }

/**
 * The port to a caller's client, found by its methods; a custom port passes as it is.
 *
 * @param option the option's name, for the error
 * @throws LockOptionError when it is none that is supported; it says what it is and what to pass instead
 */
export function toRedisClient(client: unknown, option = 'client'): RedisClient {
  const kind = typeof client === 'object' && client !== null ? kindOf(new Methods(client)) : { refused: `must be ${ACCEPTED}` }
  if ('refused' in kind) throw new LockOptionError(option, client, kind.refused)
  return kind.port(client as never)
}

/** From the unmistakable to the general: the newer libraries have almost all names of the older. */
function kindOf(client: Methods): Kind {
  if (client.has('command', 'keepProcessAlive')) return { port: (port: RedisClient) => port }
  if (client.has('then')) return refused('a promise', `await it, and pass ${ACCEPTED}`)
  if (client.has('customCommand')) {
    if (client.has('invokeScriptWithRoute')) return { port: (glide: GlideClient) => new GlideClusterPort(glide) }
    return { port: (glide: GlideClient) => new GlidePort(glide) }
  }
  if (client.has('callBuffer', 'defineCommand')) {
    if (client.value('isCluster') === true) return { port: (cluster: IoredisCluster) => new IoredisClusterPort(cluster) }
    return { port: (ioredis: IoredisClient) => new IoredisPort(ioredis) }
  }
  if (client.has('execute') && client.knows('totalClients')) {
    return refused('a node-redis pool', `a pool can't hear messages: pass ${ACCEPTED}`)
  }
  if (client.has('sendCommand') && (client.knows('isOpen') || client.has('sSubscribe'))) {
    if (client.has('getSentinelNode')) return { port: (sentinel: NodeRedisSentinel) => new NodeRedisSentinelPort(sentinel) }
    if (client.has('getSlotRandomNode')) return { port: (cluster: NodeRedisCluster) => new NodeRedisClusterPort(cluster) }
    return { port: (nodeRedis: NodeRedisClient) => new NodeRedisPort(nodeRedis) }
  }
  if (client.has('send_command') || client.knows('haredis_version')) return { port: (legacy: LegacyClient) => new LegacyPort(legacy) }
  if (client.has('sendCommand', 'multi'))
    return refused("a node-redis client's legacy() view", 'pass the client that legacy() was called on')
  if (client.has('send', 'duplicate') && client.knows('connected')) {
    return refused("Bun's RedisClient", `which never subscribes again after a lost connection: pass ${ACCEPTED}`, ', ')
  }
  if (client.has('createClient')) return refused('a module', `pass ${ACCEPTED}`)
  return { refused: `must be ${ACCEPTED}` }
}

const refused = (what: string, reason: string, joint = ': '): Kind => ({ refused: `is ${what}${joint}${reason}` })

/** Looks at an object without calling anything of it but getters. */
class Methods {
  constructor(private readonly target: object) {}

  has(...names: string[]): boolean {
    return names.every((name) => typeof this.value(name) === 'function')
  }

  knows(name: string): boolean {
    return name in this.target
  }

  value(name: string): unknown {
    return (this.target as Record<string, unknown>)[name]
  }
}
