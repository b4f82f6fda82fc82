/** Finds the primary among nodes that are a primary and its replicas, without anybody who watches over them. */

import type { RedisTarget } from '../../redis-options.js'
import type { Clock } from '../../util/clock.js'
import { majorityOf } from '../../util/majority.js'
import { ClientError } from '../client.js'
import { type Asked, askAll, type SetNode } from './ask.js'
import { primaryOf, show } from './decide.js'
import type { Finder } from './lookout.js'
import type { Promoter } from './promoter.js'

/** A node that does not answer in this time is passed over. */
const LOOK_MS = 1_000

export class AmongNodes implements Finder {
  constructor(
    private readonly nodes: readonly SetNode[],
    private readonly clock: Clock,
    /** Sees to it that there is a primary, where the locksmith is to do that. */
    private readonly promoter?: Promoter,
  ) {}

  async find(): Promise<RedisTarget> {
    const { nodes, clock, promoter } = this
    // Whoever promotes must see all of them.
    const enough = promoter === undefined ? isSettled : () => false
    const asked = await askAll(nodes, { limitMs: LOOK_MS, graceMs: 0, clock, enough })
    promoter?.consider(asked)
    const found = nodes[primaryOf(asked)]
    const said = asked.map(show).join('; ')
    if (found === undefined) {
      const problem = promoter?.problem === undefined ? '' : `; no replica could be promoted: ${promoter.problem.message}`
      throw new ClientError('CONNECTION', `no primary: ${said}${problem}`)
    }
    // The others may have promoted another by now.
    const answers = asked.filter(({ answer }) => !(answer instanceof ClientError)).length
    if (promoter !== undefined && answers < majorityOf(nodes.length)) throw new ClientError('CONNECTION', `no majority: ${said}`)
    return found.target
  }

  async close(): Promise<void> {
    this.promoter?.close()
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
