// @ts-check
/** A worker inside the demo's own process, for the memory store: a locksmith of its own on the store that all of them share. */
import { once } from 'node:events'
import { createLocksmith } from 'halocksmith'
import { Counter } from './counter.mjs'
import { work } from './work.mjs'

export class LocalWorker {
  #locksmith
  #counter
  #tell
  #cut
  #goHome = new AbortController()
  #killed = new AbortController()
  /** @type {Promise<unknown>} what it is doing now */
  #task = Promise.resolve()
  ready = Promise.resolve()

  /**
   * @param {{ worker: number, folder: string, options: import('halocksmith').LocksmithOptions }} setup
   * @param {(report: import('./work.mjs').Report) => void} tell
   */
  constructor({ worker, folder, options }, tell) {
    const { store, cut } = cuttable(/** @type {import('halocksmith').LockStore} */ (options.store))
    this.number = worker
    this.#locksmith = createLocksmith({ ...options, store, name: `worker ${worker}` })
    this.#counter = new Counter(folder)
    this.#tell = tell
    this.#cut = cut
  }

  /** @param {import('./work.mjs').Order} order */
  async run(order) {
    const { signal } = this.#goHome
    const job = { worker: this.number, order, counter: this.#counter, locksmith: this.#locksmith, signal, report: this.#tell }
    this.#task = Promise.race([work(job), once(this.#killed.signal, 'abort')])
    await this.#task
  }

  /** The nearest thing to killing a process: nothing that it asks for reaches the store any more, no renewal and no release. */
  async kill() {
    this.#cut()
    this.#killed.abort()
  }

  async dismiss() {
    this.#goHome.abort()
    await this.#task.catch(() => {})
    // One that was cut off would wait for an answer that can't come.
    if (!this.#killed.signal.aborted) await this.#locksmith.close()
  }
}

/**
 * @template {object} T
 * @param {T} store
 * @returns {{ store: T, cut: () => void }} the same store, until it is cut: then no call is carried out, and none is answered
 */
function cuttable(store) {
  let isCut = false
  const through = new Proxy(store, {
    get(target, key) {
      const member = Reflect.get(target, key)
      if (typeof member !== 'function') return member
      return (/** @type {unknown[]} */ ...args) => (isCut ? new Promise(() => {}) : member.apply(target, args))
    },
  })
  return {
    store: through,
    cut() {
      isCut = true
    },
  }
}
