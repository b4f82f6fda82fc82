// @ts-check
/** A worker that is a process: the demo's side of it. The other side is `worker.mjs`. */
import { fork } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('./worker.mjs', import.meta.url))
/** A worker that was told to go and is still there after this time is killed. */
const PATIENCE_MS = 1_000

/** @typedef {{ event: 'ready' } | { event: 'finished' } | { event: 'failed', message: string } | import('./work.mjs').Report} Message */

export class ProcessWorker {
  #child
  #tell
  /** Whether it is meant to end. */
  #dismissed = false
  /** What it is doing now. */
  #task = pending()
  #gone = pending()

  /**
   * @param {import('./worker.mjs').Setup} setup
   * @param {(report: import('./work.mjs').Report) => void} tell
   */
  constructor(setup, tell) {
    this.number = setup.worker
    this.#tell = tell
    this.#child = fork(PROGRAM, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#child.on('message', (message) => this.#hear(/** @type {Message} */ (message)))
    this.#child.on('error', (error) => this.#failed(error))
    this.#child.on('exit', (code, signal) => this.#ended(signal ?? `exit code ${code}`))
    // Not in its arguments: everybody can read a command line, and the address may have a password in it.
    this.#child.send(setup)
    /** Settles when the process can take orders. */
    this.ready = this.#task.promise
  }

  /**
   * @param {import('./work.mjs').Order} order
   * @returns {Promise<void>} resolves when it is done, or was killed over it
   * @throws Error when it failed or ended by itself
   */
  run(order) {
    this.#task = pending()
    this.#child.send(order)
    return this.#task.promise
  }

  /** Kills it at once, without a chance to tidy up. Resolves when it is gone. */
  async kill() {
    this.#dismissed = true
    this.#child.kill('SIGKILL')
    await this.#gone.promise
  }

  /** Lets it go: it releases what it holds and ends. */
  async dismiss() {
    this.#dismissed = true
    if (this.#child.connected) this.#child.disconnect()
    const timer = new AbortController()
    await Promise.race([this.#gone.promise, delay(PATIENCE_MS, undefined, { signal: timer.signal }).catch(() => {})])
    timer.abort()
    await this.kill()
  }

  /** @param {Message} message */
  #hear(message) {
    if (message.event === 'ready' || message.event === 'finished') this.#task.resolve()
    else if (message.event === 'failed') this.#task.reject(new Error(`worker ${this.number} failed: ${message.message}`))
    else this.#tell(message)
  }

  /** @param {string} how */
  #ended(how) {
    if (this.#dismissed) this.#task.resolve()
    else this.#task.reject(new Error(`worker ${this.number} ended unexpectedly: ${how}`))
    this.#gone.resolve()
  }

  /** @param {Error} error */
  #failed(error) {
    this.#task.reject(error)
    // It could not be started: there is nobody to wait for.
    if (this.#child.pid === undefined) this.#gone.resolve()
  }
}

/** @returns {{ promise: Promise<void>, resolve: () => void, reject: (error: Error) => void }} a promise, and how it is settled from outside */
function pending() {
  /** @type {any} */
  const task = {}
  task.promise = new Promise((resolve, reject) => Object.assign(task, { resolve, reject }))
  // Whoever waits for it hears of a failure; after an interruption nobody does.
  task.promise.catch(() => {})
  return task
}
