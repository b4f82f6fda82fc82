/**
 * `halocksmith/clients`: the port to a Redis client library, for those who write one for a library that is not supported. Pass it where
 * a client is asked for; `clientConformance` of `halocksmith/testing` shows whether it keeps the contract.
 */

export type { ChannelListener, ClientErrorCode, ClientWarning, ConnectionListener, RedisClient, WakeKind } from './client.js'
export { ClientError, replyError } from './client.js'
export { toRedisClient } from './detect.js'
