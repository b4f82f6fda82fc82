import { describe, test } from 'vitest'
import { useWorkers } from '../../support/processes.js'
import { RUN_MS, surviveFaults } from './run.js'
import { SINGLE_THAT_FORGETS, SINGLE_THAT_KEEPS } from './single.js'

useWorkers('file')

describe.concurrent('four processes with four claims each go on while servers fail, on', () => {
  test(SINGLE_THAT_KEEPS.name, (context) => surviveFaults(SINGLE_THAT_KEEPS, context), RUN_MS)
  test(SINGLE_THAT_FORGETS.name, (context) => surviveFaults(SINGLE_THAT_FORGETS, context), RUN_MS)
})
