// @ts-check
/**
 * Starts Redis servers for the demo, the tests and the benchmark: on 127.0.0.1 only, keeping nothing on disk, and never outliving the
 * process that started them, however that one ends.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BareRedis } from './bare-redis.mjs'
import { findRedisServer } from './find-redis.mjs'
import { processState } from './processes.mjs'

export { findRedisServer } from './find-redis.mjs'

/** @typedef {import('./find-redis.mjs').FoundServer} FoundServer */

/**
 * @typedef {object} StartOptions
 * @property {number} [port] default: a free one, and another when someone else was faster
 * @property {readonly string[]} [args] settings that go behind our own, and override them: `['--maxmemory', '8mb']`
 * @property {string} [folder] the server's working folder, which then stays; default: a temporary one, gone after `stop()`
 * @property {FoundServer} [redis] the program; default: what `findRedisServer({ install: 'never' })` finds
 * @property {string} [password] sets `requirepass`; default: none
 * @property {string} [config] the text of a configuration file, for what must stand in one; the server may write to it
 * @property {number} [timeoutMs] how long the server may take to answer, or to end; default 10,000. It usually takes 40
 */

const HOST = '127.0.0.1'
/** A server that is asked for its word may stand still, or be busy for good: no question waits longer. */
const COMMAND_TIMEOUT_MS = 10_000
const POLL_MS = 3
const PORT_ATTEMPTS = 10
/**
 * Below the ports that systems hand to outgoing connections (32768 and up): there a client that reconnects to a port on which nobody
 * listens can end up connected to itself, and keep the server from coming back. And so that a cluster's bus port, 10000 above, exists.
 */
const LOWEST_PORT = 12_000
const HIGHEST_PORT = 32_000
/**
 * Waits for the end of its input, which comes when the process at the other end is gone, even by SIGKILL. It ignores what a terminal
 * sends to all at Ctrl-C, or it would be gone before its work is done.
 */
const GUARDIAN = `trap '' INT TERM HUP; read -r _; kill -9 "$1"; [ -z "$2" ] || rm -rf "$2"`

/** @type {Set<RedisServer>} */
const running = new Set()
let hooked = false

/**
 * Starts a server and resolves when it answers.
 *
 * Its temporary folder is made in the folder that the environment variable `HALOCKSMITH_RUN_FOLDER` names, where the test run looks for
 * servers that were left over; without it, in the system's.
 *
 * @param {StartOptions} [options]
 * @returns {Promise<RedisServer>}
 * @throws Error when there is no server program, or it does not start; the message has the end of its log
 */
export async function startRedis({ port, args = [], folder, redis, password, config, timeoutMs = 10_000 } = {}) {
  const found = redis ?? (await findRedisServer({ install: 'never' }))
  if (found.path === null) throw new Error(found.reason)
  for (let attempt = 1; ; attempt++) {
    const server = new RedisServer(found, port ?? (await freePort()), args, folder, password, config, timeoutMs)
    try {
      await server.start()
      return server
    } catch (error) {
      // Another process may have taken the port between our look and the server's bind.
      const taken = /** @type {NodeJS.ErrnoException} */ (error).code === 'EADDRINUSE'
      if (port !== undefined || attempt === PORT_ATTEMPTS || !taken) throw error
    }
  }
}

/**
 * A port of 127.0.0.1 on which nobody listens now, outside the range that the system hands to outgoing connections.
 *
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT))
    const probe = createServer()
    const free = await new Promise((resolve) => probe.once('error', () => resolve(false)).listen(port, HOST, () => resolve(true)))
    if (!free) continue
    await new Promise((resolve) => probe.close(resolve))
    return port
  }
  throw new Error(`no free port found between ${LOWEST_PORT} and ${HIGHEST_PORT}`)
}

/** A server that belongs to this process. {@link startRedis} makes it. */
export class RedisServer {
  host = HOST
  /** Its working folder; empty after `stop()`, when it was a temporary one. */
  folder
  #found
  #args
  #ownFolder
  #password
  #config
  #timeoutMs
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #guardian
  /** @type {Promise<void>} */
  #gone = Promise.resolve()

  /**
   * @param {FoundServer} found
   * @param {number} port
   * @param {readonly string[]} args
   * @param {string | undefined} folder
   * @param {string | undefined} password
   * @param {string | undefined} config
   * @param {number} timeoutMs
   */
  constructor(found, port, args, folder, password, config, timeoutMs) {
    this.#found = found
    /** Stays the same through `restart`. */
    this.port = port
    /** With the password, if there is one. */
    this.url = `redis://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}${HOST}:${port}`
    this.#args = args
    this.#ownFolder = folder === undefined
    this.folder = folder ?? ''
    this.#password = password
    this.#config = config
    this.#timeoutMs = timeoutMs
  }

  get pid() {
    return this.#child?.pid ?? 0
  }

  get alive() {
    return running.has(this)
  }

  /** What the server printed since it was last started. */
  log() {
    try {
      return readFileSync(join(this.folder, 'redis.log'), 'utf8')
    } catch {
      return ''
    }
  }

  /** Starts it, the first time or after `kill`, and resolves when it answers. */
  async start() {
    this.folder ||= await mkdtemp(join(process.env.HALOCKSMITH_RUN_FOLDER ?? tmpdir(), 'halocksmith-redis-'))
    const deadline = performance.now() + this.#timeoutMs
    this.#launch()
    try {
      while (!(await this.#answers())) {
        if (!this.alive) throw this.#startError()
        if (performance.now() > deadline) throw new Error(`redis-server on port ${this.port} gave no answer within ${this.#timeoutMs} ms`)
        await delay(POLL_MS)
      }
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Kills it, waits until it is gone, removes its temporary folder. Harmless when it is gone already. */
  async stop() {
    await this.kill('SIGKILL')
    if (!this.#ownFolder || this.folder === '') return
    await rm(this.folder, { recursive: true, force: true })
    this.folder = ''
  }

  /**
   * Sends a signal that ends it, and resolves when it is gone. Its folder stays, for `start` and `restart`.
   *
   * @param {NodeJS.Signals} [signal] default SIGKILL
   */
  async kill(signal = 'SIGKILL') {
    if (!this.alive) return
    this.#child?.kill(signal)
    const giveUp = new AbortController()
    await Promise.race([this.#gone, delay(this.#timeoutMs, undefined, { signal: giveUp.signal }).catch(() => {})])
    giveUp.abort()
    if (processState(this.pid) !== 'gone') throw new Error(`redis-server ${this.pid} is there ${this.#timeoutMs} ms after ${signal}`)
  }

  /** Kills it without waiting: for the end of this process, when nothing can be awaited any more. */
  killNow() {
    this.#child?.kill('SIGKILL')
    // The guardian does it too; whoever is later finds nothing.
    if (this.#ownFolder) rmSync(this.folder, { recursive: true, force: true })
  }

  /** SIGSTOP: its connections stay, and it answers nothing. Resolves when it stands still. */
  async pause() {
    this.#child?.kill('SIGSTOP')
    // The signal is on its way when kill() returns; the system's word alone tells that it has arrived.
    while (process.platform === 'linux' && processState(this.pid) === 'running') await delay(1)
  }

  /** SIGCONT. */
  resume() {
    this.#child?.kill('SIGCONT')
  }

  /**
   * Kills it, if it runs, and starts it again on the same port.
   *
   * @param {{ keepData?: boolean, args?: readonly string[] }} [options] `keepData`: what is in it is saved first and is there again;
   *   default false, it comes back empty. `args`: settings instead of those given at the start
   */
  async restart({ keepData = false, args = this.#args } = {}) {
    this.resume()
    if (keepData && this.alive) await this.command('SAVE')
    await this.kill('SIGKILL')
    for (const data of keepData ? [] : ['dump.rdb', 'appendonlydir', 'appendonly.aof']) {
      await rm(join(this.folder, data), { recursive: true, force: true })
    }
    this.#args = args
    await this.start()
  }

  /**
   * Sends one command, on a connection of its own, and resolves to the reply.
   *
   * @param {(string | number | Buffer)[]} args
   * @returns {Promise<import('./resp.mjs').Reply>}
   * @throws ReplyError the server's error; Error when it cannot be reached or says nothing for 10 s
   */
  async command(...args) {
    const client = await BareRedis.connect({ port: this.port, password: this.#password })
    const timer = setTimeout(() => client.close(), COMMAND_TIMEOUT_MS)
    try {
      return await client.command(...args)
    } finally {
      clearTimeout(timer)
      client.close()
    }
  }

  #launch() {
    const settings = ['--port', `${this.port}`, '--bind', HOST, '--daemonize', 'no', '--save', '', '--appendonly', 'no']
    settings.push('--repl-diskless-sync-delay', '0', '--dir', this.folder, '--pidfile', join(this.folder, 'redis.pid'))
    if (this.#password !== undefined) settings.push('--requirepass', this.#password)
    const file = join(this.folder, 'redis.conf')
    if (this.#config !== undefined && !existsSync(file)) writeFileSync(file, this.#config)
    const before = this.#config === undefined ? [] : [file]
    const log = openSync(join(this.folder, 'redis.log'), 'w')
    const env = { ...process.env, ...this.#found.env }
    const child = spawn(this.#found.path, [...before, ...settings, ...this.#args], { stdio: ['ignore', log, log], env })
    closeSync(log)
    this.#child = child
    child.on('error', () => {})
    if (child.pid === undefined) return
    this.#gone = new Promise((resolve) => {
      child.once('exit', () => {
        running.delete(this)
        this.#guardian?.kill('SIGKILL')
        resolve()
      })
    })
    running.add(this)
    if (!hooked) process.on('exit', () => running.forEach((server) => server.killNow()))
    hooked = true
    this.#guardian = guard(child.pid, this.#ownFolder ? this.folder : '')
    // Neither the server nor its guardian keeps this process alive: when it is done, they end.
    child.unref()
  }

  #startError() {
    const log = this.log()
    const code = /Address already in use/i.test(log) ? 'EADDRINUSE' : 'START_FAILED'
    const lastLines = log.trimEnd().split('\n').slice(-5).join('\n')
    return Object.assign(new Error(`${this.#found.path} on port ${this.port} ended at once:\n${lastLines}`), { code })
  }

  /** @returns {Promise<boolean>} whether it takes commands, and is ours and not another one that took the port first */
  async #answers() {
    try {
      const info = await this.command('INFO')
      return info.includes(`process_id:${this.pid}\r\n`) && !info.includes('\nloading:1\r\n')
    } catch (error) {
      // A server whose default user may do nothing has started all the same.
      return /^(NOAUTH|NOPERM)/.test(/** @type {Error} */ (error).message)
    }
  }
}

/**
 * @param {number} pid
 * @param {string} folder removed after `pid` was killed; may be empty
 */
function guard(pid, folder) {
  const guardian = spawn('sh', ['-c', GUARDIAN, 'guardian', `${pid}`, folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  guardian.on('error', () => {})
  guardian.unref()
  guardian.stdin.on('error', () => {})
  const pipe = /** @type {import('node:net').Socket} */ (guardian.stdin)
  pipe.unref()
  return guardian
}
