// @ts-check
/** The output: lines that stay, and on a terminal a block of lines below them that is redrawn in place. */
import { styleText } from 'node:util'

const WIDTH = 80
/** Where lines can't be redrawn, a line about how it goes is printed this often. */
const PLAIN_EVERY_MS = 1_000

export class Screen {
  #stream
  #live
  #colours
  /** @type {string[]} the block as it stands on the terminal now */
  #block = []
  #ended = false

  /**
   * @param {NodeJS.WriteStream} stream
   * @param {NodeJS.ProcessEnv} env
   */
  constructor(stream, env) {
    this.#stream = stream
    // A line that the terminal breaks can't be found again by counting lines.
    this.#live = stream.isTTY === true && env.TERM !== 'dumb' && (stream.columns || WIDTH) >= WIDTH
    this.#colours = this.#live && stream.hasColors()
  }

  /** How long to wait until the next picture. */
  get everyMs() {
    return this.#live ? 80 : PLAIN_EVERY_MS
  }

  /**
   * Text that stays. A line that is too long is broken, and goes on under its own first letter.
   *
   * @param {string} text
   * @param {Colour} [colour]
   */
  print(text = '', colour) {
    const lines = text.split('\n').flatMap(wrap)
    this.#write(
      lines.map((line) => this.paint(line, colour)),
      this.#block,
    )
  }

  /**
   * How it goes at the moment: on a terminal `lines` take the place of those shown before, elsewhere `plain` is printed.
   *
   * @param {string[]} lines
   * @param {string} plain
   */
  show(lines, plain) {
    if (this.#live) this.#write([], lines)
    else this.print(plain)
  }

  /**
   * How it went: stays.
   *
   * @param {string[]} [lines] default: what is shown at the moment
   */
  settle(lines = this.#block) {
    this.#write(lines, [])
  }

  /** Nothing is written from here on. */
  end() {
    this.#ended = true
  }

  /** @typedef {'green' | 'red' | 'yellow' | 'dim' | 'bold'} Colour */

  /**
   * @param {string} text
   * @param {Colour} [colour]
   */
  paint(text, colour) {
    return this.#colours && colour !== undefined && text !== '' ? styleText(colour, text) : text
  }

  /**
   * @param {string[]} lines
   * @param {string[]} block
   */
  #write(lines, block) {
    if (this.#ended) return
    // Up to the first line of the old block, and away with all below. In one write, so that nothing flickers.
    const erase = this.#block.length > 0 ? `\x1b[${this.#block.length}F\x1b[J` : ''
    this.#stream.write(erase + [...lines, ...block].map((line) => `${line}\n`).join(''))
    this.#block = block
  }
}

/**
 * @param {string} text
 * @returns {string[]}
 */
function wrap(text) {
  const indent = /^ */.exec(text)?.[0] ?? ''
  const lines = []
  let line = ''
  for (const word of text.slice(indent.length).split(' ')) {
    if (line !== '' && indent.length + line.length + 1 + word.length > WIDTH) {
      lines.push(indent + line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, indent + line]
}
