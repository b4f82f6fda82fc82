/** What every port to a Redis client library has to keep, as cases for any test runner. They want a Redis server of their own. */

import type { RedisClient } from '../clients/index.js'
import type { ConformanceCase } from './case.js'
import { commandCases, orderCases } from './client/commands.js'
import { connectionCases, lossCases } from './client/connections.js'
import { countCases, messageCases, refusesToSubscribe, shardedCases } from './client/messages.js'
import { type Cases, type ClientUnderTest, type Run, until } from './client/scene.js'

export type { ClientUnderTest }

export interface ClientHarness {
  /** A new port on a connected client. Called once or more in every case. */
  make(): Promise<ClientUnderTest>
  /**
   * One command on a connection of its own, which is none of the port's. Cases flush the server's data and end its other connections. On a
   * Cluster FLUSHALL and CLIENT go to every node (lists one behind the other), PUBLISH tells how many hear on all of them, and everything else
   * goes to the node that has its first argument.
   */
  command(...args: string[]): Promise<unknown>
  /** True where it is a Cluster that the port is connected to. */
  readonly isCluster?: boolean | undefined
  /** True for libraries that send unanswered commands again after a lost connection. */
  readonly resends?: boolean | undefined
  /** True for libraries that tell nobody of a lost connection, so that only a command that fails shows it. */
  readonly silent?: boolean | undefined
  /** The reason why a library does not keep the order of commands that are under way at the same time, where it does not. */
  readonly unordered?: string | undefined
}

/**
 * The cases of the contract in `RedisClient`.
 *
 * @param wake what the port under test says of itself: without it, what needs messages is left out with a reason
 */
export function clientConformance(harness: ClientHarness, wake: RedisClient['wake']): ConformanceCase[] {
  const all = {
    ...commandCases,
    ...connectionCases(harness.resends ?? false),
    ...(wake === 'none' ? { 'refuses to subscribe': refusesToSubscribe } : {}),
    ...messageCases,
    ...(harness.isCluster ? shardedCases : {}),
  }
  const skips = new Map(skipped(harness, wake).flatMap(([reason, cases]) => Object.keys(cases).map((name) => [name, reason])))
  return Object.entries(all).map(([name, run]) => ({ name, skip: skips.get(name), run: () => play(harness, run) }))
}

/** Cases that can't be run, with the reason. */
function skipped({ isCluster, unordered }: ClientHarness, wake: RedisClient['wake']): [string, Cases][] {
  const skips: [string, Cases][] = []
  if (unordered !== undefined) skips.push([unordered, orderCases])
  if (isCluster) skips.push(['on a Cluster a client is up while it can reach any node', lossCases])
  if (isCluster) skips.push(['on a Cluster PUBLISH counts who hears on one node only', countCases])
  if (wake === 'none') skips.push(['its library has no connection that hears messages', { ...messageCases, ...shardedCases }])
  return skips
}

let played = 0

async function play(harness: ClientHarness, run: Run): Promise<void> {
  played += 1
  await harness.command('FLUSHALL')
  const made = await harness.make()
  const cutAll = async (): Promise<void> => {
    // A subscriber in RESP3 is of the second kind, although it sends commands too.
    await harness.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await harness.command('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes')
  }
  try {
    await until('the client is up', () => made.client.isUp)
    await run({
      ...made,
      silent: harness.silent ?? false,
      keepsOrder: harness.unordered === undefined,
      channel: `channel${played}`,
      heardBy: ({ heard }) => (harness.isCluster ? [...new Set(heard)] : heard),
      command: (...args) => harness.command(...args),
      cutAll,
    })
  } finally {
    await made.client.close()
    await made.dispose()
  }
}
