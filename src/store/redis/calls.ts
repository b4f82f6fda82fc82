/** How operations become calls of the script, each with a state key and a text for every one of its operations. */

import { typesOf } from './keys.js'

interface Operation {
  readonly key: string
  readonly text: string
}

/** The arguments of the call, on a Cluster of operations on one name. */
export function callOf(sha1: string, operations: readonly Operation[], isCluster: boolean): string[] {
  const count = operations.length
  const args = new Array<string>(3 + 2 * count)
  args[0] = 'EVALSHA'
  args[1] = sha1
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
export function byKey<T extends Operation>(operations: readonly T[]): Iterable<T[]> {
  const groups = new Map<string, T[]>()
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
