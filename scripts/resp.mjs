// @ts-check
/**
 * RESP, the protocol of Redis, versions 2 and 3: the little of it that our own harness and benchmark need. The library itself never
 * uses this: it talks through the user's client library.
 */

const CR = 13
const LF = 10
/** What a parse step returns when the bytes so far end inside the value. */
const INCOMPLETE = Symbol('incomplete')

/**
 * A value as the harness sees it: text, number, boolean, null, {@link ReplyError}, or a list of these. A map of RESP3 is a flat list,
 * name then value, as RESP2 sends it.
 *
 * @typedef {any} Reply
 */

/** An error that the server replied; `code` is its first word (`NOSCRIPT`, `WRONGTYPE`, …). */
export class ReplyError extends Error {
  /** @param {string} text */
  constructor(text) {
    super(text)
    this.name = 'ReplyError'
    this.code = text.split(' ', 1)[0] ?? ''
  }
}

/**
 * One command, as an array of bulk strings.
 *
 * @param {readonly (string | number | Buffer)[]} args
 * @returns {string | Buffer}
 */
export function encodeCommand(args) {
  if (args.some((arg) => typeof arg === 'object')) {
    const parts = args.flatMap((arg) => {
      const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))
      return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]
    })
    return Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...parts])
  }
  let text = `*${args.length}\r\n`
  for (const arg of args) {
    const part = String(arg)
    text += `$${Buffer.byteLength(part)}\r\n${part}\r\n`
  }
  return text
}

/** Cuts a stream of bytes into frames, wherever the chunks of the stream happen to begin and end. */
export class RespParser {
  /** @type {Buffer[]} what came and is not yet part of a complete frame */
  #chunks = []
  #length = 0
  /** A frame cannot be complete before so much is there: a large reply in many chunks is not put together anew at each. */
  #neededLength = 0
  /** @type {Buffer} what is being parsed */
  #buffer = Buffer.alloc(0)
  #at = 0

  /**
   * Calls `onFrame` for every frame that `chunk` completes. `kind` is the frame's first byte: `*` `$` `+` `-` `:` or, in RESP3, `>` for a
   * push and others; `bytes` is the whole frame.
   *
   * @param {Buffer} chunk
   * @param {(value: Reply, kind: string, bytes: Buffer) => void} onFrame
   */
  push(chunk, onFrame) {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length < this.#neededLength) return
    this.#buffer = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks)
    this.#neededLength = 0
    let start = 0
    while (start < this.#buffer.length) {
      this.#at = start
      const kind = String.fromCharCode(/** @type {number} */ (this.#buffer[start]))
      const value = this.#value()
      if (value === INCOMPLETE) break
      const bytes = this.#buffer.subarray(start, this.#at)
      start = this.#at
      onFrame(value, kind, bytes)
    }
    const rest = this.#buffer.subarray(start)
    this.#chunks = rest.length === 0 ? [] : [rest]
    this.#length = rest.length
    this.#neededLength = Math.max(0, this.#neededLength - start)
  }

  /** @returns {Reply} the value that begins at the cursor */
  #value() {
    const kind = String.fromCharCode(this.#buffer[this.#at] ?? 0)
    const line = this.#line()
    if (line === INCOMPLETE) return INCOMPLETE
    switch (kind) {
      case '+':
      case '(':
        return line
      case '-':
        return new ReplyError(line)
      case ':':
        return Number(line)
      case ',':
        return Number(line.replace('inf', 'Infinity'))
      case '#':
        return line === 't'
      case '_':
        return null
      case '$':
        return this.#bulk(Number(line))
      case '=':
        // The text's kind and a colon go before the text.
        return this.#bulk(Number(line), (text) => text.slice(4))
      case '!':
        return this.#bulk(Number(line), (text) => new ReplyError(text))
      case '*':
      case '~':
      case '>':
        return this.#list(Number(line))
      case '%':
        return this.#list(Number(line) * 2)
      case '|':
        // Attributes are told before the value that they belong to.
        return this.#list(Number(line) * 2) === INCOMPLETE ? INCOMPLETE : this.#value()
      default:
        // The server also takes a bare line of words as a command (`PING`), as people type it into a terminal.
        return (kind + line).trim().split(/\s+/)
    }
  }

  /** @returns {any} the text up to the next CR LF, without the type byte */
  #line() {
    const end = this.#buffer.indexOf(LF, this.#at + 1)
    if (end === -1) return INCOMPLETE
    const text = this.#buffer.toString('utf8', this.#at + 1, this.#buffer[end - 1] === CR ? end - 1 : end)
    this.#at = end + 1
    return text
  }

  /**
   * @param {number} length
   * @param {(text: string) => Reply} [convert]
   * @returns {Reply}
   */
  #bulk(length, convert) {
    if (length < 0) return null
    const end = this.#at + length
    if (this.#buffer.length < end + 2) {
      this.#neededLength = end + 2
      return INCOMPLETE
    }
    const text = this.#buffer.toString('utf8', this.#at, end)
    this.#at = end + 2
    return convert ? convert(text) : text
  }

  /**
   * @param {number} length
   * @returns {Reply}
   */
  #list(length) {
    if (length < 0) return null
    const list = []
    while (list.length < length) {
      const value = this.#value()
      if (value === INCOMPLETE) return INCOMPLETE
      list.push(value)
    }
    return list
  }
}
