/** Finds the primary among nodes that are a primary and its replicas, without anybody who watches over them. */

import type { RedisTarget } from '../../redis-options.js'
import type { Clock } from '../../util/clock.js'
import { ClientError } from '../client.js'
import { type Asked, askAll, type NamedNode } from './ask.js'
import { majorityOf, primaryOf, show } from './decide.js'
import type { Finder } from './lookout.js'

/** A node that does not answer in this time is passed over. */
const LOOK_MS = 1_000

export interface SetNode extends NamedNode {
  readonly target: RedisTarget
}

export class AmongNodes implements Finder {
  constructor(
    private readonly nodes: readonly SetNode[],
    private readonly clock: Clock,
  ) {}

  async find(): Promise<RedisTarget> {
    const asked = await askAll(this.nodes, { limitMs: LOOK_MS, graceMs: 0, clock: this.clock, enough: isSettled })
    const found = this.nodes[primaryOf(asked)]
    if (found === undefined) throw new ClientError('CONNECTION', `no primary: ${asked.map(show).join('; ')}`)
    return found.target
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map(({ client }) => client.close()))
  }
}

/** Whether no further answer could change who is the primary. */
function isSettled(asked: readonly Asked[]): boolean {
  const primary = asked[primaryOf(asked)]
  if (primary === undefined) return false
  const followers = asked.filter(({ answer }) => !(answer instanceof ClientError) && answer.follows === primary.describe)
  return followers.length + 1 >= majorityOf(asked.length)
}
