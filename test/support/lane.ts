/** One direction of a connection: bytes in order, as slow, late or held up as a test wants them. */

/** In how many slices a second a throttled lane writes. */
const SLICES_PER_SECOND = 50

interface Entry {
  bytes: Buffer
  readonly dueAt: number
  /** Called in its turn, instead of writing: the end of the stream. */
  readonly atEnd?: () => void
  started: boolean
}

export class Lane {
  /** How late what comes in from now on goes out. */
  delayMs = 0
  bytesPerSecond = Number.POSITIVE_INFINITY
  #queue: Entry[] = []
  #held = false
  /** When a throttled line has carried what was last put on it. */
  #lineFreeAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(private readonly write: (bytes: Buffer) => void) {}

  push(bytes: Buffer): void {
    this.add({ bytes, dueAt: performance.now() + this.delayMs, started: false })
  }

  /** Calls `atEnd` when everything before it has gone out. */
  end(atEnd: () => void): void {
    this.add({ bytes: Buffer.alloc(0), dueAt: performance.now() + this.delayMs, atEnd, started: false })
  }

  /** Keeps what comes in until {@link release}. */
  hold(): void {
    this.#held = true
    clearTimeout(this.#timer)
  }

  release(): void {
    this.#held = false
    this.pump()
  }

  /** Forgets what has not gone out, but for the rest of what has begun to. Returns how many writes that were. */
  discard(): number {
    const kept = this.#queue.filter((entry) => entry.started || entry.atEnd)
    const discarded = this.#queue.length - kept.length
    this.#queue = kept
    return discarded
  }

  stop(): void {
    this.#queue = []
    this.hold()
  }

  private add(entry: Entry): void {
    this.#queue.push(entry)
    if (this.#queue.length === 1) this.pump()
  }

  private pump(): void {
    clearTimeout(this.#timer)
    while (!this.#held) {
      const entry = this.#queue[0]
      if (!entry) return
      const now = performance.now()
      const waitMs = Math.max(entry.dueAt, this.#lineFreeAt) - now
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs))
        return
      }
      this.send(entry, now)
    }
  }

  private send(entry: Entry, now: number): void {
    const most = Math.max(1, Math.floor(this.bytesPerSecond / SLICES_PER_SECOND))
    const slice = entry.bytes.subarray(0, most)
    entry.bytes = entry.bytes.subarray(slice.length)
    entry.started = true
    if (entry.bytes.length === 0) this.#queue.shift()
    this.#lineFreeAt = now + (slice.length / this.bytesPerSecond) * 1_000
    if (slice.length > 0) this.write(slice)
    entry.atEnd?.()
  }
}
