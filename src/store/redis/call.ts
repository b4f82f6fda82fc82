/** One call of the script: the operations in it, and how they are written. */

import type { Confirmation } from './confirmation.js'
import { typesOf } from './keys.js'
import type { Answer } from './replies.js'
import type { Script } from './script.js'

/** One operation of the script, and whoever waits for its answer. */
export interface Operation {
  readonly key: string
  readonly text: string
  readonly madeAtMs: number
  /** Undefined: replicas are not asked. */
  readonly confirmation: Confirmation | undefined
  /** What the answer means to whoever waits; throws when it is none of ours. */
  read(answer: Answer): unknown
  resolve(meaning: unknown): void
  reject(failure: unknown): void
}

/** Operations that were sent in one call. */
export interface Batch {
  readonly operations: readonly Operation[]
  readonly sentAtMs: number
  /** By whom all of them are confirmed. */
  readonly confirmation: Confirmation | undefined
  readonly connection: number
}

/** The command that has the script carry them out, by the SHA-1 under which the server knows it. */
export function argumentsOf(operations: readonly Operation[], script: Script, isCluster: boolean): string[] {
  const count = operations.length
  const args = new Array<string>(3 + 2 * count)
  args[0] = 'EVALSHA'
  args[1] = script.sha1
  args[2] = String(count)
  for (let i = 0; i < count; i++) {
    const { key, text } = operations[i] as Operation
    args[3 + i] = key
    args[3 + count + i] = text
  }
  if (isCluster) declareKeys(args, (operations[0] as Operation).key, count)
  return args
}

/** The operations of each name, in their order: a call to a Cluster must not have keys of two names. */
export function byKey(operations: readonly Operation[]): Iterable<Operation[]> {
  const groups = new Map<string, Operation[]>()
  for (const operation of operations) {
    const group = groups.get(operation.key)
    if (group === undefined) groups.set(operation.key, [operation])
    else group.push(operation)
  }
  return groups.values()
}

/**
 * Adds the keys that the script makes of the state key. A Cluster looks at the keys that it is told of: while a slot moves, a call whose keys
 * are not all in one place is refused as a whole, and not carried out on a part of them.
 */
function declareKeys(args: string[], stateKey: string, operations: number): void {
  const [, ...others] = typesOf(stateKey)
  args[2] = String(operations + others.length)
  args.splice(3 + operations, 0, ...others.map(([key]) => key))
}
