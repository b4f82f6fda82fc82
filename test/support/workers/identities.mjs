// @ts-check
/**
 * Four locksmiths that have something in common: two in one process, one in a thread of it, and one in a child that was forked when the
 * first had connected and held a lock. The test speaks to each by its role: `one`, `two`, `thread`, `child`.
 *
 * Messages: `{ type: 'do', role, id, method, params }`, answered by `{ type: 'done', id, value }` or `{ type: 'done', id, error }`.
 */

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { createLocksmith } from 'halocksmith'
import { inMode } from '../mode.mjs'

const OUTLIVES_MS = 10_000
const FILE = fileURLToPath(import.meta.url)

/** @typedef {(request: { id: number, method: string, params: any }) => void} Role */

/**
 * @param {object} options of the locksmith
 * @param {(answer: { type: string, [field: string]: any }) => void} answer
 * @returns {Role}
 */
function serve(options, answer) {
  const locksmith = createLocksmith(/** @type {any} */ (inMode(options)))
  /** @type {Map<string, any>} */
  const held = new Map()
  /** @type {Record<string, (params: any) => unknown>} */
  const methods = {
    async acquire({ name, options: asked }) {
      const lock = await locksmith.acquire(name, asked)
      held.set(name, lock)
      return { fencingToken: lock.fencingToken, atNs: process.hrtime.bigint() }
    },
    async tryAcquire({ name }) {
      const lock = await locksmith.tryAcquire(name)
      if (lock) held.set(name, lock)
      return lock?.fencingToken ?? null
    },
    state: ({ name }) => held.get(name)?.state,
    release: ({ name }) => held.get(name)?.release(),
    close: () => locksmith.close(),
  }
  return async ({ id, method, params }) => {
    try {
      answer({ type: 'done', id, value: await methods[method]?.(params ?? {}) })
    } catch (error) {
      answer({ type: 'done', id, error: `${/** @type {any} */ (error)?.code ?? error}` })
    }
  }
}

/** The process that the test started. */
async function main() {
  const { args, onMessage, send } = await import('./channel.mjs')
  /** @type {Map<string, Role>} */
  const roles = new Map([
    ['one', serve(args.locksmith, send)],
    ['two', serve(args.locksmith, send)],
  ])
  onMessage(async ({ type, role, ...request }) => {
    if (type === 'do') return roles.get(role)?.(/** @type {any} */ (request))
    if (type !== 'multiply') return
    const thread = new Worker(FILE, { workerData: args.locksmith })
    thread.on('message', send)
    roles.set('thread', (message) => thread.postMessage(message))
    // Without our output, which would otherwise be open for as long as the child lives.
    const stdio = /** @type {const} */ (['ignore', 'ignore', 'ignore', 'ipc'])
    const child = fork(FILE, [JSON.stringify(args.locksmith)], { execArgv: [], serialization: 'advanced', stdio: [...stdio] })
    child.on('message', (message) => send(/** @type {any} */ (message)))
    roles.set('child', (message) => child.send(message))
    send({ type: 'multiplied', childPid: child.pid })
  })
  send({ type: 'ready' })
}

if (!isMainThread) {
  const role = serve(workerData, (answer) => parentPort?.postMessage(answer))
  parentPort?.on('message', role)
} else if (process.argv[2] !== undefined) {
  const role = serve(JSON.parse(process.argv[2]), (answer) => process.send?.(answer, () => {}))
  process.on('message', /** @type {any} */ (role))
  // It outlives its parent, which is what the test looks at, but not the test.
  process.on('disconnect', () => setTimeout(() => process.exit(), OUTLIVES_MS))
} else {
  await main()
}
