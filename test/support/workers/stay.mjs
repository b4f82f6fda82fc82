// @ts-check
/** When somebody was inside a lock, as far as the lock itself said that it was held: after that, an honest holder touches nothing. */

const NS_PER_MS = 1_000_000

export class Stay {
  #lock
  /** By what the lock said at the last look; a process that stands still learns of a loss only afterwards. @type {bigint} */
  #sureUntilNs
  /** @type {bigint | undefined} */
  #lostNs

  /** @param {any} lock */
  constructor(lock) {
    this.#lock = lock
    this.enterNs = process.hrtime.bigint()
    this.#sureUntilNs = this.enterNs
    if (lock.signal.aborted) this.#noteLoss()
    else lock.signal.addEventListener('abort', this.#noteLoss, { once: true })
    this.look()
  }

  look() {
    // The time first: if this process is stopped between the two, the stay seems shorter than it was, never longer.
    const nowNs = process.hrtime.bigint()
    const { remainingMs } = this.#lock
    if (remainingMs > 0) this.#sureUntilNs = nowNs + BigInt(Math.floor(remainingMs * NS_PER_MS))
  }

  /** Call it before the release. */
  end() {
    const nowNs = process.hrtime.bigint()
    this.look()
    const lost = this.#lock.state === 'lost'
    this.#lock.signal.removeEventListener('abort', this.#noteLoss)
    return { enterNs: this.enterNs, leaveNs: this.#lostNs ?? earlier(nowNs, this.#sureUntilNs), lost }
  }

  #noteLoss = () => {
    this.#lostNs ??= earlier(process.hrtime.bigint(), this.#sureUntilNs)
  }
}

/**
 * @param {bigint} a
 * @param {bigint} b
 */
const earlier = (a, b) => (a < b ? a : b)
