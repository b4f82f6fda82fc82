// @ts-check
/** What it costs the server that many wait for a name that nobody releases. */
import { setTimeout as delay } from 'node:timers/promises'
import { contender } from '../contenders/index.mjs'
import { sharedNowMs } from '../harness/clock.mjs'
import { contend } from '../harness/contention.mjs'
import { commandsInScripts, Traffic } from '../harness/traffic.mjs'
import { callAll, stopAll } from '../harness/workers.mjs'

export const name = 'idle-waiters'
export const title = 'Waiters on a name that stays held'

const CONTENDERS = ['halocksmith']
const LIMIT = 8
const PROCESSES = 8
const EFFORT = {
  // A lease of 30 s is renewed every 10 s.
  full: { waiters: 1_000, windowMs: 22_000 },
  quick: { waiters: 1_000, windowMs: 5_000 },
  tiny: { waiters: 40, windowMs: 100 },
}
/** By then all claims must have reached the server; where it can't tell how many wait, this long is waited. */
const SETTLE_MS = 10_000
const POLL_MS = 50
const HOT = 'held'

/** @param {import('./index.mjs').Bench} bench */
export async function run(bench) {
  const measured = []
  for (const id of CONTENDERS) measured.push({ id, title: (await contender(id)).title, ...(await measure(bench, id)) })
  const rows = measured.map((one) => {
    const { waiters, windowS, sentPerSecond, insidePerSecond, serverCpuPercent, drainedMs } = one
    return [one.title, waiters, windowS, sentPerSecond, insidePerSecond, serverCpuPercent, drainedMs]
  })
  const columns = ['', 'waiters', 'seconds', 'commands/s', 'inside scripts, /s', 'server CPU %', 'ms from the release until all had it']
  const ours = measured.find(({ id }) => id === 'halocksmith')?.sentPerSecond ?? Number.NaN
  const what = `${EFFORT[bench.effort].waiters.toLocaleString('en')} waiters on one held name, all commands`
  return {
    tables: [{ title: `In ${PROCESSES} processes; the renewals of the holder included.`, columns, rows }],
    figures: [{ what, measured: ours, limit: LIMIT, unit: 'a second' }],
    numbers: { contenders: measured },
  }
}

/**
 * @param {import('./index.mjs').Bench} bench
 * @param {string} id
 */
async function measure({ server, effort, startWorkers }, id) {
  const { waiters, windowMs } = EFFORT[effort]
  const workers = await startWorkers(new Array(PROCESSES + 1).fill({ id, url: server.url }))
  const [holder, ...others] = /** @type {[typeof workers[0], ...typeof workers]} */ (workers)
  const probe = { name: 'probe', claims: 2, workMs: 1, durationMs: 100 }
  const inside = await commandsInScripts(server, () => callAll(others, 'contend', probe))
  const traffic = await Traffic.open(server, inside)

  await holder.call('hold')
  const entries = callAll(others, 'wait', waiters / PROCESSES)
  // It is looked at below; a worker that fails meanwhile is not to end this process.
  entries.catch(() => {})
  await settle(holder, waiters)

  const before = await traffic.look()
  const startedMs = sharedNowMs()
  await delay(windowMs)
  const { sent, inside: called, serverCpuMs, byName } = await traffic.since(before)
  const windowS = (sharedNowMs() - startedMs) / 1_000
  traffic.close()

  const releasedMs = await holder.call('release')
  const enteredMs = (await entries).flat()
  if (Math.min(...enteredMs) < releasedMs) throw new Error('a waiter got in while the name was held')
  await stopAll(workers)
  return {
    waiters,
    windowS,
    sentPerSecond: sent / windowS,
    insidePerSecond: called / windowS,
    serverCpuPercent: serverCpuMs / windowS / 10,
    drainedMs: Math.max(...enteredMs) - releasedMs,
    byName,
  }
}

/**
 * Resolves when all wait, as far as the server can tell.
 *
 * @param {import('../harness/workers.mjs').Worker} holder
 * @param {number} waiters
 */
async function settle(holder, waiters) {
  const endMs = sharedNowMs() + SETTLE_MS
  for (;;) {
    const waiting = await holder.call('waiting')
    if (waiting === waiters) return
    if (sharedNowMs() > endMs) {
      if (waiting === null) return
      throw new Error(`${waiting} of ${waiters} claims wait after ${SETTLE_MS} ms`)
    }
    await delay(POLL_MS)
  }
}

/** @param {{ id: string, url: string }} setup */
export async function makeWorker({ id, url }) {
  const locker = await (await contender(id)).connect(url)
  /** @type {import('../contenders/index.mjs').Held | undefined} */
  let held
  return {
    contend: (/** @type {import('../harness/contention.mjs').Contention} */ contention) => contend(locker, contention),
    async hold() {
      held = await locker.acquire(HOT)
    },
    waiting: () => locker.waiting?.(HOT) ?? null,
    async release() {
      const releasedMs = sharedNowMs()
      await held?.release()
      return releasedMs
    },
    /** @param {number} claims resolves when each has had the name, to the times at which they got in */
    wait: (claims) =>
      Promise.all(
        Array.from({ length: claims }, async () => {
          const one = await locker.acquire(HOT)
          const enteredMs = sharedNowMs()
          await one.release()
          return enteredMs
        }),
      ),
    close: () => locker.close(),
  }
}
