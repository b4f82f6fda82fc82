import { describe, test } from 'vitest'
import { useWorkers } from '../../support/processes.js'
import { BY_NODES } from './cluster.js'
import { RUN_MS, surviveFaults } from './run.js'

useWorkers('file')

describe('four processes with four claims each go on while servers fail, on', () => {
  test(BY_NODES.name, (context) => surviveFaults(BY_NODES, context), RUN_MS)
})
