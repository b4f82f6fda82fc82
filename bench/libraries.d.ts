// The packages of this folder alone, which need not be installed for its types to be checked: what they export is of any type.
declare module '@verrou/core'
declare module '@verrou/core/drivers/redis'
declare module 'ioredis'
declare module 'redis'
declare module 'redis-semaphore'
declare module 'redlock'
declare module 'redlock-universal'
declare module 'simple-redis-mutex'
