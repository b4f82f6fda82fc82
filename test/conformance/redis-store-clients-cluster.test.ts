import { useCluster } from '../support/cluster.js'
import { byName, CLUSTER_LIBRARIES } from '../support/libraries.js'
import { testStores } from '../support/store-cases.js'

/** The engine's contract over callers' clients of a Cluster: one library of each family. What our own connections are made of is node-redis. */

const cluster = useCluster()
const chosen = ['ioredis 6', 'GLIDE']

testStores(
  chosen.map((name) => byName(CLUSTER_LIBRARIES, name)),
  () => cluster.seeds,
  true,
)
