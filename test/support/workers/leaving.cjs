// @ts-check
/**
 * A program that has nothing else to do than what SCENARIO names, and ends when Node finds nothing that keeps it alive. It hears no
 * messages: that would keep it alive.
 */
const halocksmith = require('halocksmith')

const { REDIS_URL: url = '', SCENARIO: scenario = '' } = process.env
const { createLocksmith } = halocksmith
const say = (/** @type {string} */ type, /** @type {object} */ fields = {}) => process.send?.({ type, atMs: Date.now(), ...fields })

process.on('exit', () => say('exit'))

/** @type {Record<string, () => Promise<unknown>>} */
const scenarios = {
  async holds() {
    await createLocksmith({ url }).acquire('k', { ttlMs: 60_000 })
    say('ready')
  },
  async 'holds several, with a short lease'() {
    const locksmith = createLocksmith({ url })
    await locksmith.acquire(['k', 'l'], { ttlMs: 1_000 })
    await locksmith.semaphore('s', 5).acquire({ ttlMs: 1_000 })
    say('ready')
  },
  async waits() {
    const locksmith = createLocksmith({ url })
    locksmith.acquire('taken').catch(() => {})
    await waiting(locksmith)
    say('ready')
  },
  async 'waits with a limit'() {
    const locksmith = createLocksmith({ url })
    locksmith.acquire('taken', { waitMs: 60_000, signal: new AbortController().signal }).catch(() => {})
    await waiting(locksmith)
    say('ready')
  },
  async 'waits for a server that is not there'() {
    createLocksmith({ nodes: ['127.0.0.1:1'] })
      .acquire('k', { waitMs: 60_000 })
      .catch(() => {})
    say('ready')
  },
  async 'holds through the callback API'() {
    halocksmith(url.replace('redis://', ''))('k', () => say('ready'))
  },
  async 'holds on nodes that it follows'() {
    const locksmith = createLocksmith(JSON.parse(process.env.LOCKSMITH ?? '{}'))
    await locksmith.acquire('k', { ttlMs: 60_000 })
    locksmith.acquire('k').catch(() => {})
    await locksmith.query()
    say('ready')
  },
  async 'has only made one'() {
    createLocksmith({ url })
    halocksmith(url.replace('redis://', ''))
    say('ready')
  },
  async 'acquires and releases'() {
    const lock = await createLocksmith({ url }).acquire('k')
    say('ready', { outcome: await lock.release() })
  },
  async 'uses everything once'() {
    const locksmith = createLocksmith({ url })
    const results = [
      await locksmith.using('k', () => 'used'),
      await locksmith.tryAcquire('taken'),
      await locksmith.acquire('taken', { waitMs: 0 }).catch((error) => error.code),
      (await locksmith.query({ name: 'taken' })).held.length,
      await locksmith.forceRelease('nobody'),
      await locksmith.semaphore('s', 2).using({ permits: 2 }, () => 'used'),
    ]
    await locksmith.close()
    say('ready', { results })
  },
  async 'locks through the callback API'() {
    halocksmith(url.replace('redis://', ''))('k', (/** @type {Error | null} */ error, /** @type {any} */ release) => {
      release((/** @type {Error | null} */ releaseError) => say('ready', { error, releaseError }))
    })
  },
}

/** @param {import('halocksmith').Locksmith} locksmith */
async function waiting(locksmith) {
  while ((await locksmith.query({ name: 'taken' })).pending.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

scenarios[scenario]?.()
