import { afterAll, beforeAll, beforeEach, inject } from 'vitest'
import { type ReplicaSet, type ReplicaSetOptions, startReplicaSet } from '../../scripts/redis-replicas.mjs'

/**
 * A primary with its replicas, and sentinels where they are asked for, for the tests of a file or suite: started before the first, made
 * whole and empty before each (whoever is primary then), stopped after the last. Where there is no server program, these tests are skipped.
 *
 * Call it at the top of the file, or in a `describe`. What it returns has its `set` from `beforeEach` on.
 */
export function useReplicaSet(options: Omit<ReplicaSetOptions, 'redis'> = {}): { readonly set: ReplicaSet } {
  const program = inject('redisProgram')
  const holder: { set: ReplicaSet } = { set: undefined as never }
  if (program.path === null) {
    beforeEach(({ skip }) => skip(program.reason))
    return holder
  }
  beforeAll(async () => {
    holder.set = await startReplicaSet({ ...options, redis: program })
  })
  beforeEach(() => holder.set.heal())
  afterAll(() => holder.set?.stop())
  return holder
}
