/**
 * Lets other work have its turn. A lock that goes from claim to claim inside a process does so without any event, and could do so for ever:
 * timers would not fire and messages would not be read. After a few steps in one turn of the event loop the rest waits for the next.
 */

const MOST_STEPS = 32
const LONGEST_MS = 1

export class TurnBudget {
  private steps = 0
  private sinceMs = 0
  private later: (() => void)[] = []
  private readonly renew = () => {
    this.steps = 0
    this.flush()
  }

  /** Takes a step now, or in the next turn when this one has had its share. */
  spend(nowMs: number, step: () => void): void {
    if (this.steps === 0) {
      this.sinceMs = nowMs
      setImmediate(this.renew)
    }
    this.steps += 1
    if (this.steps <= MOST_STEPS && nowMs - this.sinceMs < LONGEST_MS) step()
    else this.later.push(step)
  }

  /** Takes now what was to wait for the next turn. */
  flush(): void {
    const due = this.later
    this.later = []
    for (const step of due) step()
  }
}
