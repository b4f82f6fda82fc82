// @ts-check
/** The processes that do the work, and how a workload talks with them. While they measure, nothing is said. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('./worker.mjs', import.meta.url))
/** A process that is not gone by then is killed. */
const STOP_PATIENCE_MS = 5_000

/** A process for one workload; {@link startWorkers} makes it. */
export class Worker {
  #child
  #calls = 0
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #pending = new Map()
  /** @type {Error | undefined} */
  #ended

  /** @param {readonly string[]} nodeOptions */
  constructor(nodeOptions) {
    // `advanced` carries typed arrays as they are.
    this.#child = fork(PROGRAM, { execArgv: [...nodeOptions], serialization: 'advanced' })
    this.#child.on('message', (/** @type {{ call: number, result: any, error?: string }} */ { call, result, error }) => {
      const waiting = this.#pending.get(call)
      this.#pending.delete(call)
      if (error === undefined) waiting?.resolve(result)
      else waiting?.reject(new Error(`in a worker: ${error}`))
    })
    this.#child.on('error', (error) => this.#end(error))
    this.#child.on('exit', (code, signal) => this.#end(new Error(`a worker ended with ${signal ?? `code ${code}`}`)))
  }

  get pid() {
    return this.#child.pid ?? 0
  }

  /**
   * Calls a function of the workload's worker over there.
   *
   * @param {string} method
   * @param {any} [argument]
   * @returns {Promise<any>}
   */
  call(method, argument) {
    if (this.#ended) return Promise.reject(this.#ended)
    const call = ++this.#calls
    return new Promise((resolve, reject) => {
      this.#pending.set(call, { resolve, reject })
      this.#child.send({ call, method, argument })
    })
  }

  /** Closes what the worker has open, and resolves when the process has ended. */
  async stop() {
    if (this.#ended) return
    const exited = new Promise((resolve) => this.#child.once('exit', resolve))
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), STOP_PATIENCE_MS)
    await this.call('close').catch(() => {})
    if (this.#child.connected) this.#child.disconnect()
    await exited
    clearTimeout(patience)
  }

  /** @param {Error} reason */
  #end(reason) {
    this.#ended = reason
    for (const { reject } of this.#pending.values()) reject(reason)
    this.#pending.clear()
  }
}

/**
 * Calls the same function in all of them at the same time.
 *
 * @param {readonly Worker[]} workers
 * @param {string} method
 * @param {any} [argument]
 * @returns {Promise<any[]>}
 */
export function callAll(workers, method, argument) {
  return Promise.all(workers.map((worker) => worker.call(method, argument)))
}

/** @param {readonly Worker[]} workers */
export async function stopAll(workers) {
  await Promise.all(workers.map((worker) => worker.stop()))
}
