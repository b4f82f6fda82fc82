/** Time as the engine sees it: monotonic, in milliseconds, with timers that never keep a process alive. */

/** A timer that was set; `cancel` is harmless after it fired. */
export interface Timer {
  cancel(): void
}

/** A source of monotonic time and of timers. The real one is {@link systemClock}; tests inject one that they move by hand. */
export interface Clock {
  /** Milliseconds since some fixed moment; never steps back; fractions are meaningful. */
  now(): number
  /** Calls `fire` once, `delayMs` from now or a little later, however long that is. */
  after(delayMs: number, fire: () => void): Timer
}

/** The longest delay that Node's timers keep; beyond it they fire at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

class SystemTimer implements Timer {
  private handle: NodeJS.Timeout

  constructor(
    private remainingMs: number,
    private readonly fire: () => void,
  ) {
    this.handle = this.arm()
  }

  cancel(): void {
    clearTimeout(this.handle)
  }

  private arm(): NodeJS.Timeout {
    const stepMs = Math.min(this.remainingMs, LONGEST_TIMEOUT_MS)
    this.remainingMs -= stepMs
    // A lock alone must not keep a process alive: every timer of the library is unref'd, here and nowhere else.
    return setTimeout(() => (this.remainingMs > 0 ? (this.handle = this.arm()) : this.fire()), stepMs).unref()
  }
}

/** The process's own monotonic clock. A changed wall clock has no effect on it. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, fire) => new SystemTimer(Math.max(0, Math.ceil(delayMs)), fire),
}
