// @ts-check
/**
 * A connection to Redis with nothing around it, no reconnect, no retry, no timeout: what tests use to look at a server from outside the
 * library, and what the benchmark calls the raw limit. Commands of one tick go out in one write.
 */
import { connect } from 'node:net'
import { encodeCommand, ReplyError, RespParser } from './resp.mjs'

/** @typedef {import('./resp.mjs').Reply} Reply */

/**
 * @typedef {object} BareOptions
 * @property {number} [port] default 6379
 * @property {string} [host] default `127.0.0.1`
 * @property {string} [password] default: none is sent
 * @property {number} [timeoutMs] how long connecting may take; default 5,000
 */

const MESSAGE_KINDS = new Set(['message', 'pmessage', 'smessage'])
/** Answered requests are cut off the front of their list only now and then: `shift` moves all others each time. */
const CUT_AFTER = 10_000

export class BareRedis {
  #socket
  #parser = new RespParser()
  /** @type {{ resolve: (reply: Reply) => void, reject: (error: Error) => void }[]} */
  #pending = []
  #answered = 0
  /** @type {(string | Buffer)[]} */
  #unsent = []
  /** @type {Map<string, (payload: string, channel: string) => void>} */
  #listeners = new Map()
  /** @type {Error | undefined} */
  #ended
  /** @type {(reason: Error) => void} */
  #tellClosed = () => {}

  /**
   * Settles with the reason when the connection is gone, whoever ended it. Never rejects.
   *
   * @type {Promise<Error>}
   */
  closed = new Promise((resolve) => (this.#tellClosed = resolve))

  /** @param {import('node:net').Socket} socket a connected one; `BareRedis.connect` makes it */
  constructor(socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#parser.push(chunk, this.#onFrame))
    socket.on('error', (error) => this.#end(error))
    socket.on('close', () => this.#end(new Error('the connection to Redis was closed')))
  }

  /**
   * @param {BareOptions} [options]
   * @returns {Promise<BareRedis>}
   * @throws Error when the server cannot be reached; ReplyError when it refuses the password
   */
  static async connect({ port = 6379, host = '127.0.0.1', password, timeoutMs = 5_000 } = {}) {
    const socket = connect({ port, host })
    const timer = setTimeout(() => socket.destroy(new Error(`no connection to ${host}:${port} within ${timeoutMs} ms`)), timeoutMs)
    try {
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    } finally {
      clearTimeout(timer)
    }
    const redis = new BareRedis(socket)
    try {
      if (password !== undefined) await redis.command('AUTH', password)
      return redis
    } catch (error) {
      redis.close()
      throw error
    }
  }

  /**
   * Sends one command, its name first. An error inside a list stays a value there. A command must have one reply: to subscribe, use
   * `subscribe`.
   *
   * @param {(string | number | Buffer)[]} args
   * @returns {Promise<Reply>}
   * @throws ReplyError the server's error; Error when the connection is lost before the reply comes
   */
  command(...args) {
    if (this.#ended) return Promise.reject(this.#ended)
    if (this.#unsent.length === 0) queueMicrotask(() => this.#flush())
    this.#unsent.push(encodeCommand(args))
    return new Promise((resolve, reject) => this.#pending.push({ resolve, reject }))
  }

  /**
   * Resolves when the server has confirmed. One listener a channel. Without `HELLO 3`, a connection that subscribes can do nothing else.
   *
   * @param {string} channel with `PSUBSCRIBE` the pattern
   * @param {(payload: string, channel: string) => void} listener
   * @param {'SUBSCRIBE' | 'PSUBSCRIBE' | 'SSUBSCRIBE'} [kind]
   */
  async subscribe(channel, listener, kind = 'SUBSCRIBE') {
    this.#listeners.set(channel, listener)
    await this.command(kind, channel)
  }

  /**
   * @param {string} channel
   * @param {'UNSUBSCRIBE' | 'PUNSUBSCRIBE' | 'SUNSUBSCRIBE'} [kind]
   */
  async unsubscribe(channel, kind = 'UNSUBSCRIBE') {
    await this.command(kind, channel)
    this.#listeners.delete(channel)
  }

  /** Closes at once; commands that have no reply yet reject. */
  close() {
    this.#end(new Error('this client was closed'))
    this.#socket.destroy()
  }

  #flush() {
    const parts = this.#unsent
    this.#unsent = []
    if (this.#ended) return
    const binary = parts.some((part) => typeof part === 'object')
    this.#socket.write(binary ? Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))) : parts.join(''))
  }

  /** @type {(value: Reply, kind: string) => void} */
  #onFrame = (value, kind) => {
    if ((kind === '*' || kind === '>') && Array.isArray(value) && MESSAGE_KINDS.has(value[0])) {
      // A pmessage names the pattern that it was subscribed with, then the channel, then the payload.
      this.#listeners.get(value[1])?.(value.at(-1), value.at(-2))
      return
    }
    const request = this.#pending[this.#answered]
    if (!request) return
    if (++this.#answered === this.#pending.length || this.#answered > CUT_AFTER) {
      this.#pending = this.#pending.slice(this.#answered)
      this.#answered = 0
    }
    if (value instanceof ReplyError) request.reject(value)
    else request.resolve(value)
  }

  /** @param {Error} reason */
  #end(reason) {
    if (this.#ended) return
    this.#ended = reason
    for (const request of this.#pending.splice(0).slice(this.#answered)) request.reject(reason)
    this.#tellClosed(reason)
  }
}
