/** Time that stands still until a test moves it. */

import type { Clock, Timer } from '../memory.js'

interface FakeTimer extends Timer {
  readonly dueMs: number
  fire(): void
}

/** A {@link Clock} that is moved by hand. Timers fire in the order of their time, and only within {@link FakeClock.advance}. */
export class FakeClock implements Clock {
  private readonly timers = new Set<FakeTimer>()

  constructor(
    /** Where time begins, in ms: not at 0, where a forgotten start value would look right. */
    private nowMs = 1_000_000,
  ) {}

  /** How many timers are set: 0 when everything that began has come to its end. */
  get pending(): number {
    return this.timers.size
  }

  now(): number {
    return this.nowMs
  }

  after(delayMs: number, fire: () => void): Timer {
    const timer: FakeTimer = { dueMs: this.nowMs + Math.max(0, delayMs), fire, cancel: () => void this.timers.delete(timer) }
    this.timers.add(timer)
    return timer
  }

  /**
   * Lets time pass. Each timer that comes due fires at its own moment, and promises that wait for nothing but it are settled before the
   * next one fires, so that what they set in motion is seen too.
   */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    await settled()
    for (let next = this.nextDue(untilMs); next; next = this.nextDue(untilMs)) {
      this.timers.delete(next)
      this.nowMs = Math.max(this.nowMs, next.dueMs)
      next.fire()
      await settled()
    }
    this.nowMs = untilMs
    await settled()
  }

  /** Of equal ones the first that was set. */
  private nextDue(untilMs: number): FakeTimer | undefined {
    let next: FakeTimer | undefined
    for (const timer of this.timers) {
      if (timer.dueMs <= untilMs && (!next || timer.dueMs < next.dueMs)) next = timer
    }
    return next
  }
}

/** Resolves after every microtask that is due, and those that they cause. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
