import { describe, test } from 'vitest'
import { useWorkers } from '../../support/processes.js'
import { WITH_SENTINELS, WITHOUT_SENTINELS } from './replicas.js'
import { RUN_MS, surviveFaults } from './run.js'

useWorkers('file')

describe.concurrent('four processes with four claims each go on while servers fail, on', () => {
  test(WITH_SENTINELS.name, (context) => surviveFaults(WITH_SENTINELS, context), RUN_MS)
  test(WITHOUT_SENTINELS.name, (context) => surviveFaults(WITHOUT_SENTINELS, context), RUN_MS)
})
