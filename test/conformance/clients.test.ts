import { testClients } from '../support/client-cases.js'
import { LIBRARIES } from '../support/libraries.js'
import { useRedis } from '../support/redis.js'

/** The port's contract on every library that is installed, against a real server. */

const redis = useRedis()

testClients(LIBRARIES, { where: () => redis.port, command: (...args) => redis.command(...args) })
