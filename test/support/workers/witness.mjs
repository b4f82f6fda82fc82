// @ts-check
/**
 * Who was inside when, written by the process itself to a file that all processes append to, and read by `history.ts`. It knows nothing
 * of Redis or of the lock's own idea of itself.
 */
import { closeSync, openSync, writeSync } from 'node:fs'

/**
 * @typedef {object} Stay
 * @property {string} name what was locked
 * @property {string} holder who is inside: the process and its claim
 * @property {number} fencingToken
 * @property {number} permits
 * @property {boolean} exclusive
 */

export class Witness {
  #file

  /** @param {string} file made when it is missing */
  constructor(file) {
    // Appending is atomic: lines of several processes never mix.
    this.#file = openSync(file, 'a')
  }

  /** @param {Stay} stay */
  enter(stay) {
    this.#write('in', stay)
  }

  /**
   * @param {Stay} stay
   * @param {bigint} [atNs] default: now
   */
  leave(stay, atNs) {
    this.#write('out', stay, atNs)
  }

  close() {
    closeSync(this.#file)
  }

  /**
   * @param {'in' | 'out'} kind
   * @param {Stay} stay
   * @param {bigint} [atNs] by the clock that all processes of a machine share
   */
  #write(kind, stay, atNs = process.hrtime.bigint()) {
    writeSync(this.#file, `${JSON.stringify({ kind, atNs: `${atNs}`, ...stay })}\n`)
  }
}

/**
 * Writes to a key the way a resource does that checks fencing tokens: refused when a larger token has written before.
 *
 * @param {import('../../../scripts/bare-redis.mjs').BareRedis} redis
 * @param {string} key
 * @param {number} fencingToken
 * @param {string} value
 * @returns {Promise<boolean>} whether it was accepted
 */
export async function fencedWrite(redis, key, fencingToken, value) {
  const script = `
    local last = tonumber(redis.call('HGET', KEYS[1], 'token') or 0)
    if tonumber(ARGV[1]) < last then return 0 end
    redis.call('HSET', KEYS[1], 'token', ARGV[1], 'value', ARGV[2])
    return redis.call('HINCRBY', KEYS[1], 'writes', 1)`
  return (await redis.command('EVAL', script, 1, key, fencingToken, value)) > 0
}
