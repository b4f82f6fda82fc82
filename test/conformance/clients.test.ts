import { afterAll, beforeAll, describe, test } from 'vitest'
import { type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import { clientConformance } from '../../src/testing/client-conformance.js'
import { LIBRARIES } from '../support/libraries.js'

/** The port's contract on every library that is installed, against a real server. */

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

afterAll(() => server?.stop())

describe.each(LIBRARIES)('$name', ({ connect, resends, wake, skip }) => {
  const harness = { make: () => connect(server.port), command: (...args: string[]) => server.command(...args), resends }
  for (const one of clientConformance(harness, wake)) {
    const reason = skip ?? one.skip
    test(one.name, async (context) => {
      if (reason !== undefined) context.skip(reason)
      await one.run()
    })
  }
})
