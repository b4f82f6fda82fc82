// @ts-check
/** What it costs the server that many wait for a name that nobody releases. */
import { setTimeout as delay } from 'node:timers/promises'
import { connect, contenders } from '../contenders/index.mjs'
import { sharedNowMs } from '../harness/clock.mjs'
import { contend } from '../harness/contention.mjs'
import { jainIndex } from '../harness/stats.mjs'
import { NONE } from '../harness/table.mjs'
import { commandsInScripts, Traffic } from '../harness/traffic.mjs'
import { callAll, stopAll } from '../harness/workers.mjs'

export const name = 'idle-waiters'
export const title = 'Waiters on a name that stays held'

const QUICK = ['halocksmith', 'redis-semaphore']
const CONTENDERS = ['halocksmith', 'halocksmith-ioredis', 'redlock', 'redlock-tuned', 'redis-semaphore', 'redis-semaphore-tuned']
CONTENDERS.push('simple-redis-mutex', 'redlock-universal', 'verrou')
const LIMIT = 8
const EFFORT = {
  // A lease of 30 s is renewed every 10 s. Those that ask again and again need not be watched for so long.
  full: { processes: 8, waiters: 1_000, windowMs: 22_000, othersWindowMs: 3_000, ids: CONTENDERS },
  quick: { processes: 8, waiters: 1_000, windowMs: 1_500, othersWindowMs: 500, ids: QUICK },
  tiny: { processes: 2, waiters: 40, windowMs: 100, othersWindowMs: 100, ids: QUICK.slice(0, 1) },
}
/** Those that do something once in ten seconds only, if at all. */
const SELDOM = ['halocksmith', 'halocksmith-ioredis', 'simple-redis-mutex']
/** By then all claims must have reached the server. */
const SETTLE_MS = 10_000
/** So long is waited where the server can't tell how many wait. */
const BLIND_SETTLE_MS = 1_000
const POLL_MS = 50
/** They all wait when the server knows of as many so many times in a row. */
const SAME_POLLS = 6
/** So long after the release it is watched who gets the name. */
const DRAIN_MS = 4_000
const HOT = 'held'

/** @typedef {import('../contenders/index.mjs').Contender} Contender */

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const { processes, waiters, ids } = EFFORT[bench.effort]
  const { present, notes } = await contenders(ids)
  const measured = []
  for (const contender of present) measured.push({ ...contender, ...(await measure(bench, contender)) })
  const rows = measured.map((one) => {
    const { windowS, sentPerSecond, insidePerSecond, errorsPerSecond, serverCpuPercent, clientCpuPercent, drainedMs, jain } = one
    const drained = drainedMs ?? NONE
    return [one.title, windowS, sentPerSecond, insidePerSecond, errorsPerSecond, serverCpuPercent, clientCpuPercent, drained, jain]
  })
  const columns = ['', 'seconds', 'commands/s', 'inside scripts, /s', 'errors/s', 'server CPU %', 'client CPU %']
  columns.push('ms from the release until all had it', 'Jain index then')
  const ours = measured.find(({ id }) => id === 'halocksmith')?.sentPerSecond ?? Number.NaN
  const many = waiters.toLocaleString('en')
  const explained = `${many} waiters in ${processes} processes; the renewals of the holder included. \`-\`: not all had it after ${DRAIN_MS / 1_000} s.`
  return {
    tables: [{ title: explained, columns, rows }],
    figures: [{ what: `${many} waiters on one held name, all commands`, measured: ours, limit: LIMIT, unit: 'a second' }],
    notes,
    numbers: { waiters, contenders: measured },
  }
}

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {Contender} contender
 */
async function measure({ server, effort, startWorkers }, { id }) {
  const { processes, waiters, windowMs, othersWindowMs } = EFFORT[effort]
  const workers = await startWorkers(new Array(processes + 1).fill({ id, url: server.url }))
  const [holder, ...others] = /** @type {[typeof workers[0], ...typeof workers]} */ (workers)
  const probe = { name: `probe of ${id}`, claims: 2, workMs: 1, durationMs: 100 }
  const inside = await commandsInScripts(server, () => callAll(others, 'contend', probe))
  const traffic = await Traffic.open(server, inside)

  await holder.call('hold')
  await callAll(others, 'wait', waiters / processes)
  await settle(holder, processes)

  await callAll(others, 'spent')
  const before = await traffic.look()
  const startedMs = sharedNowMs()
  await delay(SELDOM.includes(id) ? windowMs : othersWindowMs)
  const { sent, inside: called, serverCpuMs, byName } = await traffic.since(before)
  const windowMsTaken = sharedNowMs() - startedMs
  const windowS = windowMsTaken / 1_000
  traffic.close()
  /** @type {{ errors: number, cpuMs: number }[]} */
  const spent = await callAll(others, 'spent')
  const sum = (/** @type {'errors' | 'cpuMs'} */ what) => spent.reduce((total, one) => total + one[what], 0)

  const drained = await drain(holder, others, waiters)
  await stopAll(workers)
  return {
    windowS,
    sentPerSecond: sent / windowS,
    insidePerSecond: called / windowS,
    errorsPerSecond: sum('errors') / windowS,
    serverCpuPercent: (serverCpuMs / windowMsTaken) * 100,
    clientCpuPercent: (sum('cpuMs') / windowMsTaken) * 100,
    ...drained,
    byName,
  }
}

/**
 * Resolves when all wait, as far as the server can tell: it need not know of all, as those of one process may wait for each other.
 *
 * @param {import('../harness/workers.mjs').Worker} holder
 * @param {number} processes
 */
async function settle(holder, processes) {
  const endMs = sharedNowMs() + SETTLE_MS
  for (let same = 0, before = 0; same < SAME_POLLS; ) {
    const waiting = await holder.call('waiting')
    if (waiting === null) return delay(BLIND_SETTLE_MS)
    if (sharedNowMs() > endMs) throw new Error(`${waiting} claims wait after ${SETTLE_MS} ms, and not all do yet`)
    same = waiting >= processes && waiting === before ? same + 1 : 0
    before = waiting
    await delay(POLL_MS)
  }
}

/**
 * Lets go, and watches the waiters get in, each once.
 *
 * @param {import('../harness/workers.mjs').Worker} holder
 * @param {readonly import('../harness/workers.mjs').Worker[]} others
 * @param {number} waiters
 */
async function drain(holder, others, waiters) {
  const releasedMs = await holder.call('release')
  /** @type {number[]} */
  const enteredMs = (await callAll(others, 'entered', DRAIN_MS)).flat()
  if (Math.min(...enteredMs) < releasedMs) throw new Error('a waiter got in while the name was held')
  const all = enteredMs.length === waiters
  return {
    drainedMs: all ? Math.max(...enteredMs) - releasedMs : undefined,
    // Each can get in once only.
    jain: jainIndex(Array.from({ length: waiters }, (_, i) => (i < enteredMs.length ? 1 : 0))),
  }
}

/** @param {{ id: string, url: string }} setup */
export async function makeWorker({ id, url }) {
  const locker = await connect(id, url)
  /** @type {import('../contenders/index.mjs').Held | undefined} */
  let held
  let errors = 0
  let cpu = process.cpuUsage()
  let closing = false
  /** @type {Promise<void>[]} */
  const entries = []
  /** @type {number[]} */
  const enteredMs = []
  const claim = async () => {
    while (!closing) {
      try {
        const one = await locker.acquire(HOT)
        enteredMs.push(sharedNowMs())
        await one.release()
        return
      } catch {
        errors++
        await delay(0)
      }
    }
  }
  return {
    contend: (/** @type {import('../harness/contention.mjs').Contention} */ contention) => contend(locker, contention),
    async hold() {
      held = await locker.acquire(HOT)
    },
    waiting: () => locker.waiting?.(HOT) ?? null,
    /** Since it was asked before. */
    spent() {
      const { user, system } = process.cpuUsage(cpu)
      const spent = { errors, cpuMs: (user + system) / 1_000 }
      errors = 0
      cpu = process.cpuUsage()
      return spent
    },
    async release() {
      const releasedMs = sharedNowMs()
      await held?.release()
      return releasedMs
    },
    /** @param {number} claims */
    wait(claims) {
      for (let i = 0; i < claims; i++) entries.push(claim())
    },
    /**
     * @param {number} patienceMs
     * @returns {Promise<number[]>} when each got in, of those who did by then
     */
    async entered(patienceMs) {
      await Promise.race([Promise.all(entries), delay(patienceMs)])
      closing = true
      return enteredMs
    },
    close: () => locker.close(),
  }
}
