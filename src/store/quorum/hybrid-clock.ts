/**
 * The times that are proposed to all servers for tickets and tokens, in µs: a hybrid of the wall clock and a counter (Kulkarni et al.,
 * "Logical Physical Clocks", 2014). They only grow, stay close to the time, and lie behind every token that was seen here.
 */
export class HybridClock {
  private last = 0

  constructor(private readonly wallMs: () => number = Date.now) {}

  next(): number {
    this.last = Math.max(this.last + 1, this.wallMs() * 1_000)
    return this.last
  }

  /** Whatever is proposed from now on is larger. */
  see(us: number): void {
    this.last = Math.max(this.last, us)
  }
}
