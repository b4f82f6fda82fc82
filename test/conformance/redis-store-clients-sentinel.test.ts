import { byName, SENTINEL_LIBRARIES } from '../support/libraries.js'
import { useReplicaSet } from '../support/replicas.js'
import { testStores } from '../support/store-cases.js'

/** The engine's contract over a caller's client that follows sentinels. Those of ioredis have the port that is tested on one server already. */

const replicas = useReplicaSet({ replicas: 1, sentinels: 3 })

testStores([byName(SENTINEL_LIBRARIES, 'redis 6')], () => replicas.set)
