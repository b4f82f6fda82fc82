// @ts-check
/** In a worker: an uncontended lock on several servers and one bare round trip to a majority of them, in turns in the same process. */
import { connectQuorum } from '../contenders/index.mjs'
import { connectRawQuorum } from '../contenders/raw-quorum.mjs'

/** Of these, the bare ones are one command that goes to all servers at once; the time is that until the slower of a majority has answered. */
export const KINDS = /** @type {const} */ (['ping', 'script', 'ours'])

/** They take turns after so many cycles, and the first of them are not counted: whoever comes next finds the caches full of others' things. */
const SLICE = 20
const UNCOUNTED = 3
/** How many names are used in turn. */
const NAMES = 1_000

/** @typedef {typeof KINDS[number]} Kind */
/** @typedef {Record<Kind, Float64Array>} Latencies ms until it was acquired, or answered; and for `ours` and `script`, nothing of the release */

/** @param {readonly string[]} urls */
export async function makeMajority(urls) {
  const raw = await connectRawQuorum(urls)
  const ours = await connectQuorum('halocksmith', urls)
  let count = 0
  const cycle = async (/** @type {Pick<typeof ours, 'acquire'>} */ locker) => {
    const name = `lone-${count++ % NAMES}`
    const startedMs = performance.now()
    const held = await locker.acquire(name)
    const tookMs = performance.now() - startedMs
    await held.release()
    return tookMs
  }
  /** @type {Record<Kind, () => Promise<number>>} */
  const once = {
    async ping() {
      const startedMs = performance.now()
      await raw.ping()
      return performance.now() - startedMs
    },
    script: () => cycle(raw),
    ours: () => cycle(ours),
  }
  /** @param {() => boolean} isOver asked after each turn of all kinds */
  const takeTurns = async (isOver) => {
    /** @type {Record<Kind, number[]>} */
    const tookMs = { ping: [], script: [], ours: [] }
    for (let turn = 0; turn === 0 || !isOver(); turn++) {
      for (let i = 0; i < KINDS.length; i++) {
        const kind = /** @type {Kind} */ (KINDS[(turn + i) % KINDS.length])
        for (let cycles = 0; cycles < SLICE; cycles++) {
          const ms = await once[kind]()
          if (cycles >= UNCOUNTED) tookMs[kind].push(ms)
        }
      }
    }
    return tookMs
  }
  return {
    /**
     * @param {number} durationMs
     * @returns {Promise<Latencies>}
     */
    async majority(durationMs) {
      const endMs = performance.now() + durationMs
      const { ping, script, ours } = await takeTurns(() => performance.now() >= endMs)
      return { ping: Float64Array.from(ping), script: Float64Array.from(script), ours: Float64Array.from(ours) }
    },
    async close() {
      await ours.close()
      await raw.close()
    },
  }
}
