import { describe, test } from 'vitest'
import { useWorkers } from '../../support/processes.js'
import { BY_IOREDIS, BY_NODE_REDIS } from './cluster.js'
import { RUN_MS, surviveFaults } from './run.js'

useWorkers('file')

describe.concurrent('four processes with four claims each go on while servers fail, on', () => {
  test(BY_NODE_REDIS.name, (context) => surviveFaults(BY_NODE_REDIS, context), RUN_MS)
  test(BY_IOREDIS.name, (context) => surviveFaults(BY_IOREDIS, context), RUN_MS)
})
