/**
 * The times that are proposed to all servers for tickets and tokens, in µs: a hybrid of the wall clock and a counter (Kulkarni et al.,
 * "Logical Physical Clocks", 2014). They only grow, stay close to the time, and lie behind every token that was seen here.
 */
export class HybridClock {
  private last = 0

  constructor(private readonly wallMs: () => number = fineWallMs) {}

  next(): number {
    this.last = Math.max(this.last + 1, Math.floor(this.wallMs() * 1_000))
    return this.last
  }

  /** Whatever is proposed from now on is larger. */
  see(us: number): void {
    this.last = Math.max(this.last, us)
  }
}

/** Further than this from the wall clock the finer one is set anew. */
const TOLERANCE_MS = 2
let anchorMs = performance.timeOrigin

/** The wall clock in fractions of a millisecond, the same for all locksmiths of a process: claims of one moment have an order. */
function fineWallMs(): number {
  const wallMs = Date.now()
  const sinceMs = performance.now()
  if (Math.abs(anchorMs + sinceMs - wallMs) > TOLERANCE_MS) anchorMs = wallMs - sinceMs
  return anchorMs + sinceMs
}
