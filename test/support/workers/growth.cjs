// @ts-check
/**
 * Does the same thing thousands of times and tells what has grown. Run with --expose-gc; SCENARIO names the thing. The first rounds are
 * not counted: code is compiled in them, and buffers find their size.
 */
const path = require('node:path')
const halocksmith = require('halocksmith')

// Private, but what is left behind shows here first: a locksmith hides what it is made of, so that this is seen while it is made.
const parts = require(path.join(path.dirname(require.resolve('halocksmith')), 'primitives', 'claims.js'))
/** @type {any[]} */
const made = []
parts.Claims = class extends parts.Claims {
  constructor(/** @type {any[]} */ ...args) {
    super(...args)
    made.push(this)
  }
}

const { REDIS_URL: url = '', SCENARIO: scenario = '' } = process.env
const locksmith = halocksmith.createLocksmith({ url })
const holder = halocksmith.createLocksmith({ url })

const [{ room, keeper, holding }] = made

const UNCOUNTED = 2_000

/** How many run at a time. */
const WIDTH = 100

/** @type {Record<string, { count: number, once: (i: number) => Promise<unknown> }>} */
const scenarios = {
  'locks of one name each': { count: 10_000, once: (i) => locksmith.using(`name ${i}`, () => i) },
  'locks of few names': { count: 5_000, once: async (i) => (await locksmith.acquire(`name ${i % 10}`)).release() },
  'locks whose signal is looked at': {
    count: 5_000,
    async once(i) {
      const lock = await locksmith.acquire([`name ${i}`, `other ${i}`], { metadata: { i: `${i}` } })
      lock.signal.addEventListener('abort', () => {})
      await lock.release()
    },
  },
  'locks of the callback API': {
    count: 5_000,
    once: (i) => new Promise((resolve) => legacy(`name ${i}`, (/** @type {any} */ _error, /** @type {any} */ release) => release(resolve))),
  },
  'attempts at a busy lock': { count: 5_000, once: () => locksmith.tryAcquire('taken') },
  'waits that time out': { count: 4_000, once: () => locksmith.acquire('taken', { waitMs: 5 }).catch(() => {}) },
  'waits that are aborted': {
    count: 4_000,
    async once() {
      const controller = new AbortController()
      const acquiring = locksmith.acquire('taken', { signal: controller.signal }).catch(() => {})
      setImmediate(() => controller.abort())
      await acquiring
    },
  },
  'waits that share a signal': {
    count: 4_000,
    once: () => locksmith.acquire('taken', { waitMs: 5, signal: shared.signal }).catch(() => {}),
  },
}
const legacy = halocksmith({ nodes: [url], timeout: 60 })
const shared = new AbortController()
require('node:events').setMaxListeners(0, shared.signal)

// A process that only waits for locks would end.
const alive = setInterval(() => {}, 1_000)

async function main() {
  const { count, once } = scenarios[scenario] ?? { count: 0, once: async () => {} }
  // Who drops a held lock is warned.
  const taken = await holder.acquire('taken', { ttlMs: 300_000 })
  await rounds(once, UNCOUNTED)
  const listenersBefore = listeners()
  const before = await settledHeap()
  await rounds(once, count)
  const after = await settledHeap()
  clearInterval(alive)
  process.send?.({
    type: 'done',
    bytesEach: (after - before) / count,
    inside: {
      waiting: room.byId.size,
      names: room.byName.size,
      takingBack: room.takingBack.size,
      unwanted: room.unwanted.size,
      givenUp: room.takingBack.names.size <= 1_000,
      leases: keeper.byId.size,
      due: keeper.heap.size,
      releasing: holding.releasing.size,
    },
    newListeners: listeners() - listenersBefore,
    active: process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout' || kind === 'Immediate'),
  })
  process.on('message', async (/** @type {any} */ { type }) => {
    if (type !== 'close') return
    await taken.release()
    await Promise.all([locksmith.close(), holder.close(), legacy.close()])
    process.disconnect()
  })
}

const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)

/**
 * @param {(i: number) => Promise<unknown>} once
 * @param {number} count
 */
async function rounds(once, count) {
  for (let i = 0; i < count; i += WIDTH) await Promise.all(Array.from({ length: WIDTH }, (_, j) => once(i + j)))
}

/** What is in use when finalizers have run and what was under way is done. */
async function settledHeap() {
  while (room.takingBack.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}

void main()
