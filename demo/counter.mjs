// @ts-check
/** The thing that the workers share: a number in a file, with a journal beside it. Nothing here knows of locks. */
import { appendFile, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Wide enough for any number of the demo. */
const DIGITS = 8

/**
 * @typedef {object} Entry one increment, as its worker wrote it down
 * @property {number} worker
 * @property {number} value what the number became
 * @property {number} token the fencing token under which that happened
 */

export class Counter {
  #number
  #journal

  /** @param {string} folder */
  constructor(folder) {
    this.#number = join(folder, 'number')
    this.#journal = join(folder, 'journal')
  }

  async reset() {
    await writeFile(this.#number, '0'.padStart(DIGITS, '0'))
    await writeFile(this.#journal, '')
  }

  /** @returns {Promise<number>} */
  async read() {
    return Number(await readFile(this.#number, 'utf8'))
  }

  /**
   * Always of the same length, in one write: a reader in another process finds the old number or the new one, never half of one. So what
   * gets lost without a lock is lost by the interleaving alone.
   *
   * @param {number} value
   */
  async write(value) {
    const file = await open(this.#number, 'r+')
    try {
      await file.write(String(value).padStart(DIGITS, '0'), 0)
    } finally {
      await file.close()
    }
  }

  /** @param {Entry} entry */
  async note({ worker, value, token }) {
    await appendFile(this.#journal, `${worker} ${value} ${token}\n`)
  }

  /** @returns {Promise<Entry[]>} in the order in which they were written */
  async entries() {
    const lines = (await readFile(this.#journal, 'utf8')).split('\n').filter((line) => line !== '')
    return lines.map((line) => {
      const [worker = Number.NaN, value = Number.NaN, token = Number.NaN] = line.split(' ').map(Number)
      return { worker, value, token }
    })
  }
}
