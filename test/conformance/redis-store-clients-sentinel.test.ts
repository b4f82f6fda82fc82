import { byName, SENTINEL_LIBRARIES } from '../support/libraries.js'
import { useReplicaSet } from '../support/replicas.js'
import { testStores } from '../support/store-cases.js'

/** The engine's contract over callers' clients that follow sentinels: one library of each family, the others being alike to it. */

const replicas = useReplicaSet({ replicas: 1, sentinels: 3 })
const chosen = ['redis 6', 'ioredis 6']

testStores(
  chosen.map((name) => byName(SENTINEL_LIBRARIES, name)),
  () => replicas.set,
)
