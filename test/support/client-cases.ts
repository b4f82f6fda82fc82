import { describe, test } from 'vitest'
import { clientConformance } from '../../src/testing/client-conformance.js'
import type { Library } from './libraries.js'

/** What the conformance cases of a client need of the place that it is connected to. */
export interface Place<Where> {
  /** Known when a case runs. */
  where(): Where
  command(...args: string[]): Promise<unknown>
  readonly isCluster?: boolean
}

/** The port's contract, on each of these libraries. */
export function testClients<Where>(libraries: readonly Library<Where>[], { where, command, isCluster }: Place<Where>): void {
  describe.each(libraries)('$name', ({ connect, resends, silent, unordered, wake, skip }) => {
    const make = () => connect(where())
    for (const one of clientConformance({ make, command, resends, silent, unordered, isCluster }, wake)) {
      const reason = skip ?? one.skip
      test(one.name, async (context) => {
        if (reason !== undefined) context.skip(reason)
        await one.run()
      })
    }
  })
}
