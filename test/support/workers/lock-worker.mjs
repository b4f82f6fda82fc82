// @ts-check
/**
 * A process that locks as the test tells it, and reports when it loses a lock: `lock-worker.ts` is the other end. Every report has the
 * time by the clock that all processes of a machine share.
 */

import { BareRedis } from '../../../scripts/bare-redis.mjs'
import { inMode } from '../mode.mjs'
import { args, describeError, leave, onMessage, send } from './channel.mjs'
import { runCycles } from './cycles.mjs'
import { acquireFrom, recipeFor } from './recipes.mjs'
import { fencedWrite } from './witness.mjs'

const { createLocksmith } = await import(args.module ?? 'halocksmith')
const locksmith = createLocksmith(args.module ? args.locksmith : inMode(args.locksmith))

/** @type {Map<string, any>} */
const held = new Map()
/** @type {Map<string, AbortController>} */
const pending = new Map()
/** @type {AbortController | undefined} */
let cycling
/** @type {Map<string, { timer: NodeJS.Timeout, samples: object[] }>} */
const probes = new Map()
let lastHandle = 0

const now = () => process.hrtime.bigint()

/** @param {string} handle */
function lockOf(handle) {
  const lock = held.get(handle)
  if (!lock) throw new Error(`this worker has no lock '${handle}'`)
  return lock
}

/**
 * @param {string} handle
 * @param {any} lock
 */
function keep(handle, lock) {
  const atNs = now()
  held.set(handle, lock)
  const { fencingToken, name, names, signal } = lock
  const lost = () => send({ type: 'lost', handle, fencingToken, atNs: now(), error: describeError(signal.reason) })
  if (signal.aborted) lost()
  else signal.addEventListener('abort', lost, { once: true })
  return { handle, fencingToken, name, names, state: lock.state, remainingMs: lock.remainingMs, atNs }
}

/** @param {string} handle */
function look(handle) {
  const lock = lockOf(handle)
  const { state, remainingMs, signal } = lock
  let error
  try {
    lock.assertHeld()
  } catch (reason) {
    error = describeError(reason)
  }
  return { state, remainingMs, aborted: signal.aborted, held: error === undefined, error, atNs: now() }
}

/**
 * @param {'acquire' | 'tryAcquire'} method
 * @param {any} request
 */
async function acquire(method, { handle = `#${++lastHandle}`, name, recipe, options }) {
  const controller = new AbortController()
  pending.set(handle, controller)
  try {
    const lock = await acquireFrom(recipeFor(locksmith, name, recipe), method, recipe, { ...options, signal: controller.signal })
    return lock && keep(handle, lock)
  } finally {
    pending.delete(handle)
  }
}

/** @type {Record<string, (params: any) => unknown>} */
const methods = {
  acquire: (request) => acquire('acquire', request),
  tryAcquire: (request) => acquire('tryAcquire', request),
  abort: ({ handle, reason }) => pending.get(handle)?.abort(new Error(reason)),
  release: async ({ handle }) => ({ ...(await lockOf(handle).release()), atNs: now() }),
  extend: ({ handle, ttlMs }) => lockOf(handle).extend(ttlMs),
  look: ({ handle }) => look(handle),
  serialize: ({ handle }) => lockOf(handle).serialize(),
  restore: async ({ handle = `#${++lastHandle}`, serialized }) => keep(handle, await locksmith.restore(serialized)),
  query: ({ filter }) => locksmith.query(filter),
  forceRelease: ({ name }) => locksmith.forceRelease(name),
  close: () => locksmith.close(),
  forget: ({ handle }) => void held.delete(handle),
  leave,

  block: ({ ms }) => {
    // Nothing else of this process runs meanwhile, as in a long computation.
    const end = performance.now() + ms
    while (performance.now() < end);
  },

  startProbe: ({ handle, everyMs = 1 }) => {
    const samples = /** @type {object[]} */ ([look(handle)])
    probes.set(handle, { samples, timer: setInterval(() => samples.push(look(handle)), everyMs) })
  },
  stopProbe: ({ handle }) => {
    const probe = probes.get(handle)
    clearInterval(probe?.timer)
    probes.delete(handle)
    return probe?.samples ?? []
  },

  fencedWrite: async ({ handle, port, key, value }) => {
    const redis = await BareRedis.connect({ port })
    try {
      return await fencedWrite(redis, key, lockOf(handle).fencingToken, value)
    } finally {
      redis.close()
    }
  },

  cycle: async (job) => {
    cycling = new AbortController()
    return runCycles(locksmith, job, cycling.signal)
  },
  stopCycles: () => cycling?.abort(new Error('the test stopped the cycles')),
}

onMessage(async ({ type, id, method, params }) => {
  if (type !== 'call') return
  try {
    const call = methods[method]
    if (!call) throw new Error(`a lock worker has no method '${method}'`)
    send({ type: 'result', id, value: await call(params ?? {}) })
  } catch (error) {
    send({ type: 'result', id, error: describeError(error) })
  }
})
send({ type: 'ready' })
