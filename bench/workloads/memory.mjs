// @ts-check
/** Bytes of a lock that is held and of a claim that waits: in the server, and in the heap of the process. */
import { setTimeout as delay } from 'node:timers/promises'
import { BareRedis } from '../../scripts/bare-redis.mjs'
import { connect, contenders } from '../contenders/index.mjs'
import { sharedNowMs } from '../harness/clock.mjs'
import { usedHeapBytes } from '../harness/heap.mjs'
import { acquireMany, nameOf, releaseMany } from '../harness/many.mjs'
import { NONE } from '../harness/table.mjs'
import { stopAll } from '../harness/workers.mjs'

export const name = 'memory'
export const title = 'Memory'

const QUICK = ['halocksmith', 'redis-semaphore']
const CONTENDERS = ['halocksmith', 'halocksmith-ioredis', 'redlock', 'redis-semaphore']
const LIMIT = 300
const EFFORT = {
  full: { count: 100_000, ids: CONTENDERS },
  quick: { count: 5_000, ids: QUICK },
  tiny: { count: 200, ids: QUICK.slice(0, 1) },
}
/** By then all claims must wait. */
const SETTLE_MS = 60_000
const POLL_MS = 100
/** They all wait when the server's memory has changed by less than this part of it so many times in a row. */
const STEADY = 0.005
const STEADY_POLLS = 5
const HOT = 'hot'

/** @typedef {{ redisBytes: number, heapBytes: number }} Cost of one */
/** @typedef {import('../contenders/index.mjs').Contender} Contender */
/** @typedef {import('../harness/workers.mjs').Worker} Worker */
/** @typedef {Contender & { held: Cost, left: Cost, apart?: Cost, together?: Cost }} Measured */

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { count, ids } = EFFORT[bench.effort]
  const { present, notes } = await contenders(ids)
  /** @type {Measured[]} */
  const measured = []
  for (const contender of present) {
    const { id, kind } = contender
    const held = await measureHeld(bench, id, count)
    const apart = kind === 'ours' ? await measureApart(bench, id, count) : undefined
    const together = kind === 'ours' ? await measureTogether(bench, id, count) : undefined
    measured.push({ ...contender, ...held, apart, together })
  }
  const many = count.toLocaleString('en')
  const what = ['lock held', 'left after its release', 'waiter, each for a name of its own', 'waiter, all for one name']
  const rows = measured.map(({ title: who, held, left, apart, together }) => {
    const redis = [held, left, apart, together].map((cost) => cost?.redisBytes ?? NONE)
    return [who, ...redis, ...[held, apart, together].map((cost) => cost?.heapBytes ?? NONE)]
  })
  const columns = ['', ...what.map((of) => `Redis: ${of}`), ...what.filter((_, i) => i !== 1).map((of) => `heap: ${of}`)]
  const ours = measured.find(({ id }) => id === 'halocksmith')?.held.redisBytes ?? Number.NaN
  const explained = `Bytes of each, of ${many}. Who waits for a name of its own waits for another process; the ${many} that wait for one name are in one process. Those that poll wait in no server, and are not measured; \`-\` of ours: not all claims came to wait within ${SETTLE_MS / 1_000} s.`
  return {
    tables: [{ title: explained, columns, rows }],
    figures: [{ what: 'memory in Redis of a lock that is held', measured: ours, limit: LIMIT, unit: 'bytes' }],
    notes,
    numbers: { count, contenders: measured },
  }
}

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {string} id
 * @param {number} count
 */
async function measureHeld({ startServer, startWorkers }, id, count) {
  const server = await startServer()
  const [holder] = /** @type {[Worker]} */ (await startWorkers([{ id, url: server.url }]))
  // The scripts, the connections, and what a process makes once.
  await holder.call('warmUp')
  const redis = await BareRedis.connect({ port: server.port })
  const before = await look(redis, holder)
  await holder.call('hold', count)
  const held = costOf(before, await look(redis, holder), count)
  await holder.call('release')
  const left = costOf(before, await look(redis, holder), count)
  redis.close()
  await stopAll([holder])
  await server.stop()
  return { held, left }
}

/**
 * Each for a name of its own, which another process holds.
 *
 * @param {import('./index.mjs').Bench} bench
 * @param {string} id
 * @param {number} count
 */
async function measureApart(bench, id, count) {
  const names = [0, count >> 1, count - 1].map((index) => nameOf('name', index))
  return measureWaiters(bench, id, count, { hold: 'hold', wait: 'waitApart', names })
}

/**
 * All for one name, in one process.
 *
 * @param {import('./index.mjs').Bench} bench
 * @param {string} id
 * @param {number} count
 */
async function measureTogether(bench, id, count) {
  return measureWaiters(bench, id, count, { hold: 'holdHot', wait: 'waitTogether', names: [HOT] })
}

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {string} id
 * @param {number} count
 * @param {{ hold: string, wait: string, names: readonly string[] }} how what the holder and the waiter do, and some names waited for
 * @returns {Promise<Cost | undefined>} undefined: they did not all come to wait
 */
async function measureWaiters({ startServer, startWorkers }, id, count, { hold, wait, names }) {
  const server = await startServer()
  const setup = { id, url: server.url }
  const [holder, waiter] = /** @type {[Worker, Worker]} */ (await startWorkers([setup, setup]))
  for (const worker of [holder, waiter]) await worker.call('warmUp')
  await holder.call(hold, count)
  const redis = await BareRedis.connect({ port: server.port })
  const before = await look(redis, waiter)
  await waiter.call(wait, count)
  const settled = await settle(redis, waiter, holder, names)
  const cost = settled ? costOf(before, await look(redis, waiter), count) : undefined
  redis.close()
  await stopAll([waiter, holder])
  await server.stop()
  return cost
}

/**
 * Until the server takes no more memory, and knows of a claim that waits for each of these names.
 *
 * @param {BareRedis} redis
 * @param {Worker} waiter
 * @param {Worker} asked another one, whose memory is not measured: the answer can be long
 * @param {readonly string[]} names
 * @returns {Promise<boolean>} false: that was never so
 */
async function settle(redis, waiter, asked, names) {
  const endMs = sharedNowMs() + SETTLE_MS
  for (let same = 0, before = 0; sharedNowMs() < endMs; ) {
    // A process that is busy asking can't answer.
    await waiter.call('breathe')
    const bytes = await usedRedisBytes(redis)
    same = Math.abs(bytes - before) < STEADY * bytes ? same + 1 : 0
    before = bytes
    if (same >= STEADY_POLLS) {
      const known = await Promise.all(names.map((of) => asked.call('waiting', of)))
      if (!known.includes(0)) return true
    }
    await delay(POLL_MS)
  }
  return false
}

/** @param {BareRedis} redis */
async function usedRedisBytes(redis) {
  return Number(/used_memory:(\d+)/.exec(await redis.command('INFO', 'memory'))?.[1])
}

/**
 * @param {BareRedis} redis
 * @param {Worker} worker
 */
async function look(redis, worker) {
  const heapBytes = await worker.call('usedHeapBytes')
  return { redisBytes: await usedRedisBytes(redis), heapBytes }
}

/**
 * @param {Cost} before
 * @param {Cost} after
 * @param {number} count
 * @returns {Cost}
 */
function costOf(before, after, count) {
  return { redisBytes: (after.redisBytes - before.redisBytes) / count, heapBytes: (after.heapBytes - before.heapBytes) / count }
}

/** @param {{ id: string, url: string }} setup */
export async function makeWorker({ id, url }) {
  const locker = await connect(id, url)
  /** @type {import('../contenders/index.mjs').Held[]} */
  let held = []
  const wait = (/** @type {(index: number) => string} */ name, /** @type {number} */ claims) => {
    for (let i = 0; i < claims; i++) {
      // Nobody lets go of what they wait for; when the process ends they have not failed.
      locker.acquire(name(i)).catch(() => {})
    }
  }
  return {
    async warmUp() {
      await releaseMany(await acquireMany(locker, `warm-up of ${process.pid}`, 100))
    },
    async hold(/** @type {number} */ locks) {
      held = await acquireMany(locker, 'name', locks)
    },
    async holdHot() {
      await locker.acquire(HOT, { ttlMs: 3_600_000 })
    },
    async release() {
      await releaseMany(held)
      held = []
    },
    waitApart: (/** @type {number} */ claims) => wait((index) => nameOf('name', index), claims),
    waitTogether: (/** @type {number} */ claims) => wait(() => HOT, claims),
    // A server that is busy with so many claims may not answer in time: then it is not known yet.
    waiting: (/** @type {string} */ of) => locker.waiting?.(of).catch(() => 0),
    breathe: () => delay(1),
    usedHeapBytes,
    // Everything ends with the process.
    close: () => {},
  }
}
