// @ts-check
/**
 * A process whose claims contend for locks while servers fail: `contender.ts` is the other end. Who holds a lock writes to the fenced resource
 * of the test's process, at the beginning and, without looking whether the lock is still its own, at the end.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { inMode } from '../mode.mjs'
import { Random } from '../random.mjs'
import { args, describeError, leave, onMessage, send } from './channel.mjs'
import { lockClient } from './lock-client.mjs'
import { Stay } from './stay.mjs'

const { createLocksmith } = await import('halocksmith')

/** A claim, or a release, that is not settled so long after its own bound is one that hangs. */
const HANGS_MS = 10_000
/** The longest that a release may take by its own account, with the server away. */
const RELEASE_MS = 5_000
/** How often a holder looks how long the lock is certainly its own. */
const LOOK_MS = 50
/** After a refusal, so that a server that is away is not asked without a break. */
const PAUSE_MS = 20
const THINK_MS = /** @type {const} */ ([0, 10])
const WAIT_MS = /** @type {const} */ ([200, 3_000])
const ABORT_MS = /** @type {const} */ ([0, 50])

/** @type {import('../contender.js').ContenderArgs} */
const { source, seed, names, claims, ttlMs } = args
const { client, closeClient } = await lockClient(source)
const locksmith = createLocksmith(inMode({ ...source.options, ...(client === undefined ? {} : { client }) }))
const random = new Random(seed)

/** @type {import('../contender.js').ContenderReport} */
const report = { holds: [], claims: { granted: 0, busy: 0, timedOut: 0, unavailable: 0, aborted: 0 }, lost: 0, unreleased: 0, troubles: [] }
const choices = names.flatMap((contended) => new Array(contended.weight).fill(contended))
const stopping = new AbortController()
const ABORTED = new Error('aborted by the contender')
/** @type {Map<number, (accepted: boolean) => void>} */
const writing = new Map()
let lastWrite = 0

/** @param {string} what */
const trouble = (what) => void report.troubles.push(what)

/**
 * What the promise resolves to; undefined when it hangs.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {number} boundMs its own
 * @param {string} what
 */
async function settled(promise, boundMs, what) {
  const over = new AbortController()
  const late = delay(boundMs + HANGS_MS, undefined, { signal: over.signal, ref: false }).then(
    () => trouble(`${what} hangs: not settled ${HANGS_MS} ms after its bound of ${boundMs} ms`),
    () => undefined,
  )
  try {
    return /** @type {T | undefined} */ (await Promise.race([promise, late]))
  } finally {
    over.abort()
  }
}

/**
 * @param {string} name
 * @param {string} holder
 * @param {number} fencingToken
 * @returns {Promise<boolean>} whether it was accepted
 */
function write(name, holder, fencingToken) {
  const id = ++lastWrite
  return new Promise((resolve) => {
    writing.set(id, resolve)
    send({ type: 'write', id, name, holder, fencingToken })
  })
}

/** @param {number} ms ends sooner when the contention does */
async function work(ms, /** @type {Stay} */ stay) {
  const end = performance.now() + ms
  for (let leftMs = ms; leftMs > 0 && !stopping.signal.aborted; leftMs = end - performance.now()) {
    await delay(Math.min(leftMs, LOOK_MS), undefined, { signal: stopping.signal }).catch(() => {})
    stay.look()
  }
}

/**
 * @param {any} lock
 * @param {string} holder
 * @param {number} holdMs
 */
async function hold(lock, holder, holdMs) {
  const { name, fencingToken } = lock
  const stay = new Stay(lock)
  await write(name, holder, fencingToken)
  await work(holdMs, stay)
  await write(name, holder, fencingToken)
  const { enterNs, leaveNs, lost } = stay.end()
  if (lost) report.lost++
  report.holds.push({ name, holder, fencingToken, enterNs, leaveNs, lost })
  try {
    await settled(lock.release(), RELEASE_MS, `the release of '${name}'`)
  } catch (error) {
    if (describeError(error).code === 'LOCK_UNAVAILABLE') report.unreleased++
    else trouble(`a release was told: ${show(error)}`)
  }
}

/**
 * One claim of one of the three kinds: with a wait, with one attempt, and with an abort.
 *
 * @param {string} name
 * @returns {Promise<any>} the lock; nothing when it was not granted
 */
async function claim(name) {
  const chance = random.next()
  const [attempt, aborts] = [chance < 0.2, chance > 0.85]
  const waitMs = attempt ? 0 : random.within(WAIT_MS)
  const abort = new AbortController()
  const timer = aborts ? setTimeout(() => abort.abort(ABORTED), random.within(ABORT_MS)) : undefined
  const options = { ttlMs, signal: abort.signal }
  try {
    const asked = attempt ? locksmith.tryAcquire(name, options) : locksmith.acquire(name, { ...options, waitMs })
    const lock = await settled(asked, waitMs, `a claim on '${name}'`)
    if (lock) report.claims.granted++
    else if (lock === null) report.claims.busy++
    return lock
  } catch (error) {
    const { code } = describeError(error)
    if (aborts && error === ABORTED) report.claims.aborted++
    else if (code === 'LOCK_TIMEOUT') report.claims.timedOut++
    else if (code === 'LOCK_UNAVAILABLE') report.claims.unavailable++
    else trouble(`a claim on '${name}' was told: ${show(error)}`)
    return null
  } finally {
    clearTimeout(timer)
  }
}

/** @param {string} holder */
async function contend(holder) {
  while (!stopping.signal.aborted) {
    const { name, holdMs } = random.pick(choices)
    const lock = await claim(name)
    if (lock) await hold(lock, holder, random.within(holdMs))
    await delay(lock ? random.within(THINK_MS) : PAUSE_MS)
  }
}

/** Takes each name once more, and tells when it had it. @param {number} waitMs */
async function prove(waitMs) {
  const proofs = names.map(async ({ name }) => {
    try {
      const lock = await settled(locksmith.acquire(name, { ttlMs, waitMs }), waitMs, `the last claim on '${name}'`)
      if (!lock) return { name, atNs: undefined, why: 'it hangs' }
      const atNs = process.hrtime.bigint()
      await hold(lock, `${process.pid}.last`, 0)
      return { name, atNs, why: '' }
    } catch (error) {
      return { name, atNs: undefined, why: show(error) }
    }
  })
  return Promise.all(proofs)
}

/** @param {unknown} error */
function show(error) {
  const { name, code, message } = describeError(error)
  return `${name} ${code ?? 'without a code'}: ${message}`
}

/** @type {Promise<unknown>} */
let contending = Promise.resolve()

onMessage(async ({ type, id, accepted, waitMs }) => {
  if (type === 'written') {
    writing.get(id)?.(accepted)
    writing.delete(id)
  } else if (type === 'go') {
    contending = Promise.all(Array.from({ length: claims }, (_, i) => contend(`${process.pid}.${i}`)))
  } else if (type === 'settle') {
    stopping.abort()
    const proofs = await prove(waitMs)
    await contending
    await locksmith.close()
    await closeClient()
    send({ type: 'report', report, proofs })
  } else if (type === 'leave') leave()
})
send({ type: 'ready' })
