import { byName, LIBRARIES } from '../support/libraries.js'
import { useRedis } from '../support/redis.js'
import { testStores } from '../support/store-cases.js'

/** The engine's contract over callers' clients of one server: one library of each family, the others being alike to it. */

const redis = useRedis()
const chosen = ['ioredis 6', 'GLIDE', 'redis 3']

testStores(
  chosen.map((name) => byName(LIBRARIES, name)),
  () => redis.port,
)
