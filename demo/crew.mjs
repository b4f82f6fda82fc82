// @ts-check
/** The workers together: starts them, gives them orders, counts what they report. */
import { EventEmitter } from 'node:events'
import { LocalWorker } from './local-worker.mjs'
import { ProcessWorker } from './process-worker.mjs'

/**
 * Emits `entered` and `frozen`, each with a {@link Moment}.
 *
 * @typedef {object} Moment
 * @property {number} worker
 * @property {number} token
 * @property {number} atMs when the demo heard of it, on its monotonic clock
 */

export class Crew extends EventEmitter {
  /** @type {(ProcessWorker | LocalWorker)[]} */
  #workers = []
  /**
   * How many increments each worker has reported in this round; the first is that of worker 1.
   *
   * @type {number[]}
   */
  counts = []
  /** @type {number | undefined} which worker was killed */
  killed

  /**
   * @param {object} options
   * @param {number} options.size
   * @param {string} options.folder where the number is
   * @param {import('./lock-server.mjs').LockServer} options.server
   */
  constructor({ size, folder, server }) {
    super()
    const Worker = server.processes ? ProcessWorker : LocalWorker
    for (let worker = 1; worker <= size; worker++) {
      this.#workers.push(new Worker({ worker, folder, options: server.options }, (report) => this.#hear(worker, report)))
    }
  }

  get size() {
    return this.#workers.length
  }

  /** Resolves when all can take orders. */
  async ready() {
    await Promise.all(this.#workers.map((worker) => worker.ready))
  }

  /**
   * Gives each worker its order, and resolves when all are done or killed.
   *
   * @param {(worker: number) => import('./work.mjs').Order} orderFor
   */
  async run(orderFor) {
    this.counts = this.#workers.map(() => 0)
    await Promise.all(this.#workers.map((worker) => worker.run(orderFor(worker.number))))
  }

  /** @param {number} worker */
  async kill(worker) {
    await this.#workers[worker - 1]?.kill()
    this.killed = worker
  }

  async dismiss() {
    await Promise.all(this.#workers.map((worker) => worker.dismiss()))
  }

  /**
   * @param {number} worker
   * @param {import('./work.mjs').Report} report
   */
  #hear(worker, report) {
    if (report.event === 'added') this.counts[worker - 1] = report.count
    else this.emit(report.event, { worker, token: report.token, atMs: performance.now() })
  }
}
