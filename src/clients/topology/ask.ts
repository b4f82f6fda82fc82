/** Asks one node what it is. One command, `INFO`, has all of it, and works on sentinels and Cluster nodes as well. */

import type { RedisTarget } from '../../redis-options.js'
import type { Clock, Timer } from '../../util/clock.js'
import { ClientError, type RedisClient } from '../client.js'
import { toClientError } from '../library-errors.js'
import type { OwnedRedisClient } from '../owned.js'
import { within } from './within.js'

/** What a node says of itself. */
export interface NodeReport {
  readonly kind: 'primary' | 'replica' | 'sentinel' | 'cluster'
  /** Names of the history of its data: replicas share the first with their primary; after a promotion the second is the former one. */
  readonly histories: readonly string[]
  /** Whom a replica follows, as it was told: `host:port`. */
  readonly follows: string | undefined
  /** Whether that primary answers it. */
  readonly linkUp: boolean
  /** How much of its history it has. */
  readonly offset: number
  /** Whether its owner lets it be promoted (`replica-priority` is not 0). */
  readonly promotable: boolean
  /** What a sentinel calls the primaries that it watches. */
  readonly watches: readonly string[]
}

/** One of the nodes that were named. */
export interface NamedNode {
  readonly client: RedisClient & Pick<OwnedRedisClient, 'opened'>
  /** `host:port` or a path, without credentials. */
  readonly describe: string
}

/** One of a set, and how to connect to it. */
export interface SetNode extends NamedNode {
  readonly target: RedisTarget
}

/** What became of asking a node. */
export type Answer = NodeReport | ClientError

/** A node as it was named, and what it said. */
export interface Asked {
  readonly describe: string
  readonly answer: Answer
}

export interface AskingOptions {
  /** Whoever has not answered by then is passed over. */
  readonly limitMs: number
  /** When enough is known, others may still answer for this long. */
  readonly graceMs: number
  readonly clock: Clock
  enough(asked: readonly Asked[]): boolean
}

/** Asks all at once. Never rejects; resolves when all have answered or failed, the time is over, or enough is known. */
export function askAll(nodes: readonly NamedNode[], { limitMs, graceMs, clock, enough }: AskingOptions): Promise<Asked[]> {
  const asked: Asked[] = nodes.map(({ describe }) => ({ describe, answer: new ClientError('CONNECTION', `${describe}: no answer yet`) }))
  return new Promise((resolve) => {
    let open = nodes.length
    let grace: Timer | undefined
    const finish = () => {
      grace?.cancel()
      resolve([...asked])
    }
    nodes.forEach((node, i) => {
      void askNode(node, limitMs, clock).then((answer) => {
        asked[i] = { describe: node.describe, answer }
        open -= 1
        if (open === 0 || (graceMs === 0 && enough(asked))) finish()
        else if (grace === undefined && enough(asked)) grace = clock.after(graceMs, finish)
      })
    })
  })
}

/** Never rejects, and settles within the limit: a node that did not answer gives the reason. */
async function askNode({ client }: NamedNode, limitMs: number, clock: Clock): Promise<Answer> {
  const answer = (async () => {
    await client.opened()
    return parseInfo(String(await client.command(['INFO'])))
  })()
  // One that does not answer may be dead without a sign of it.
  return within(limitMs, clock, answer, () => client.reconnect()).catch((error) => toClientError(error))
}

/** Reads a reply to `INFO`. */
export function parseInfo(text: string): NodeReport {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(text)?.[1]
  const mode = field('redis_mode') ?? field('server_mode')
  const isReplica = field('role') === 'slave'
  const host = field('master_host') ?? ''
  const kind =
    mode === 'sentinel'
      ? 'sentinel'
      : mode === 'cluster' || field('cluster_enabled') === '1'
        ? 'cluster'
        : isReplica
          ? 'replica'
          : 'primary'
  return {
    kind,
    // A history that never was is all zeros.
    histories: [field('master_replid'), field('master_replid2')].filter((id): id is string => id !== undefined && /[^0]/.test(id)),
    follows: isReplica ? `${host.includes(':') ? `[${host}]` : host}:${field('master_port')}` : undefined,
    linkUp: field('master_link_status') === 'up',
    offset: Number(field(isReplica ? 'slave_repl_offset' : 'master_repl_offset') ?? 0),
    promotable: field('slave_priority') !== '0',
    watches: Array.from(text.matchAll(/^master\d+:name=(.*?),/gm), ([, name = '']) => name),
  }
}
