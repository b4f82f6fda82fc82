import { describe, test } from 'vitest'
import { clientConformance } from '../../src/testing/client-conformance.js'
import { LIBRARIES } from '../support/libraries.js'
import { useRedis } from '../support/redis.js'

/** The port's contract on every library that is installed, against a real server. */

const redis = useRedis()

describe.each(LIBRARIES)('$name', ({ connect, resends, silent, unordered, wake, skip }) => {
  const harness = { make: () => connect(redis.port), command: (...args: string[]) => redis.command(...args), resends, silent, unordered }
  for (const one of clientConformance(harness, wake)) {
    const reason = skip ?? one.skip
    test(one.name, async (context) => {
      if (reason !== undefined) context.skip(reason)
      await one.run()
    })
  }
})
