import { describe, test } from 'vitest'
import { useWorkers } from '../../support/processes.js'
import { QUORUM } from './quorum.js'
import { RUN_MS, surviveFaults } from './run.js'

useWorkers('file')

describe('four processes with four claims each go on while servers fail, on', () => {
  test(QUORUM.name, (context) => surviveFaults(QUORUM, context), RUN_MS)
})
