import { describe, test } from 'vitest'
import { useWorkers } from '../../support/processes.js'
import { CONFIRMED, PROMOTED_BY_CLIENTS } from './replicas.js'
import { RUN_MS, surviveFaults } from './run.js'

useWorkers('file')

describe.concurrent('four processes with four claims each go on while servers fail, on', () => {
  test(PROMOTED_BY_CLIENTS.name, (context) => surviveFaults(PROMOTED_BY_CLIENTS, context), RUN_MS)
  test(CONFIRMED.name, (context) => surviveFaults(CONFIRMED, context), RUN_MS)
})
