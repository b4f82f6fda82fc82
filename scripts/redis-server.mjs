/**
 * Starts Redis servers for the demo, the tests and the benchmark: on 127.0.0.1 only, keeping nothing on disk, and never outliving the
 * process that started them, however that one ends.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BareRedis } from './bare-redis.mjs'
import { findRedisServer } from './find-redis.mjs'

export { findRedisServer } from './find-redis.mjs'

const HOST = '127.0.0.1'
/** A server that is asked for its word may be stopped, or busy for good: no question waits longer. */
const COMMAND_TIMEOUT_MS = 10_000
const POLL_MS = 3
const PORT_ATTEMPTS = 10
/** Below the ports that systems hand to outgoing connections (32768 and up), and so that a cluster's bus port, 10000 above, is valid. */
const LOWEST_PORT = 12_000
const HIGHEST_PORT = 32_000
/**
 * Waits until its input ends, which is when the process at the other end stops the server properly or is gone, even by SIGKILL. It
 * ignores what a terminal sends to all processes at Ctrl-C, or it would be gone before its work is done.
 */
const GUARDIAN = `trap '' INT TERM HUP; read -r _; kill -9 "$1"; [ -z "$2" ] || rm -rf "$2"`

/** @type {Set<RedisServer>} */
const running = new Set()
let hooked = false

/** @type {typeof import('./redis-server.mjs').freePort} */
export async function freePort() {
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT))
    if (await isFree(port)) return port
  }
  throw new Error(`no free port found between ${LOWEST_PORT} and ${HIGHEST_PORT}`)
}

/** @type {typeof import('./redis-server.mjs').startRedis} */
export async function startRedis({ port, args = [], folder, redis, password, timeoutMs = 10_000 } = {}) {
  const found = redis ?? (await findRedisServer({ install: 'never' }))
  if (found.path === null) throw new Error(found.reason)
  for (let attempt = 1; ; attempt++) {
    const server = new RedisServer(found, port ?? (await freePort()), args, folder, password, timeoutMs)
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

/** @param {number} port */
function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, HOST, () => probe.close(() => resolve(true)))
  })
}

class RedisServer {
  host = HOST
  #found
  #args
  #ownFolder
  #password
  #timeoutMs
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #guardian
  /** @type {Promise<void>} */
  #gone = Promise.resolve()

  /**
   * @param {import('./redis-server.mjs').FoundServer} found
   * @param {number} port
   * @param {readonly string[]} args
   * @param {string | undefined} folder
   * @param {string | undefined} password
   * @param {number} timeoutMs
   */
  constructor(found, port, args, folder, password, timeoutMs) {
    this.#found = found
    this.port = port
    this.url = `redis://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}${HOST}:${port}`
    this.#args = args
    this.#ownFolder = folder === undefined
    this.folder = folder ?? ''
    this.#password = password
    this.#timeoutMs = timeoutMs
  }

  get pid() {
    return this.#child?.pid ?? 0
  }

  get alive() {
    return running.has(this)
  }

  log() {
    try {
      return readFileSync(join(this.folder, 'redis.log'), 'utf8')
    } catch {
      return ''
    }
  }

  async start() {
    this.folder ||= await mkdtemp(join(process.env.HALOCKSMITH_RUN_FOLDER ?? tmpdir(), 'halocksmith-redis-'))
    const deadline = performance.now() + this.#timeoutMs
    try {
      this.#launch()
      while (!(await this.#answers())) {
        if (!this.alive) throw this.#startError()
        if (performance.now() > deadline) throw new Error(`redis-server on port ${this.port} gave no answer within ${this.#timeoutMs} ms`)
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      }
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop() {
    await this.kill('SIGKILL')
    if (!this.#ownFolder || this.folder === '') return
    await rm(this.folder, { recursive: true, force: true })
    this.folder = ''
  }

  /** For the end of this process, when nothing can be awaited any more. */
  killNow() {
    this.#child?.kill('SIGKILL')
    // The guardian would remove it too; whoever is later finds nothing.
    if (this.#ownFolder) rmSync(this.folder, { recursive: true, force: true })
  }

  /** @param {NodeJS.Signals} signal */
  async kill(signal = 'SIGKILL') {
    if (!this.alive) return
    this.#child?.kill(signal)
    let timer
    const tooLong = new Promise((resolve) => (timer = setTimeout(resolve, this.#timeoutMs)))
    await Promise.race([this.#gone, tooLong])
    clearTimeout(timer)
    if (isAlive(this.pid)) throw new Error(`redis-server ${this.pid} is still there ${this.#timeoutMs} ms after ${signal}`)
  }

  async pause() {
    this.#child?.kill('SIGSTOP')
    // The signal is sent when kill() returns, but only what the kernel says of the process tells that it has stopped.
    while (!isStopped(this.pid)) await new Promise((resolve) => setTimeout(resolve, 1))
  }

  resume() {
    this.#child?.kill('SIGCONT')
  }

  async restart({ keepData = false, args = this.#args } = {}) {
    this.resume()
    if (keepData && this.alive) await this.command('SAVE')
    await this.kill('SIGKILL')
    if (!keepData) {
      for (const left of ['dump.rdb', 'appendonlydir', 'appendonly.aof']) await rm(join(this.folder, left), { recursive: true, force: true })
    }
    this.#args = args
    await this.start()
  }

  /** @param {(string | number | Buffer)[]} args */
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
    const log = openSync(join(this.folder, 'redis.log'), 'w')
    const child = spawn(this.#found.path, [...settings, ...this.#args], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.#found.env },
    })
    closeSync(log)
    this.#child = child
    this.#gone = new Promise((resolve) => {
      child.once('exit', () => {
        running.delete(this)
        this.#guardian?.kill('SIGKILL')
        resolve()
      })
    })
    if (child.pid === undefined) return void child.once('error', () => {})
    if (!hooked) process.on('exit', killAll)
    hooked = true
    running.add(this)
    // Neither the server nor its guardian keeps this process alive: when it is done, they end.
    child.unref()
    this.#guardian = spawn('sh', ['-c', GUARDIAN, 'guardian', `${child.pid}`, this.#ownFolder ? this.folder : ''], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    this.#guardian.on('error', () => {})
    this.#guardian.unref()
    const input = /** @type {import('node:net').Socket} */ (this.#guardian.stdin)
    input.on('error', () => {})
    input.unref()
  }

  #startError() {
    const log = this.log()
    const code = /Address already in use/i.test(log) ? 'EADDRINUSE' : 'START_FAILED'
    const lastLines = log.trimEnd().split('\n').slice(-5).join('\n')
    return Object.assign(new Error(`redis-server on port ${this.port} ended at once:\n${lastLines}`), { code })
  }

  /** @returns {Promise<boolean>} whether the server takes commands, and is ours and not another one that took the port first */
  async #answers() {
    try {
      const info = await this.command('INFO', 'server')
      return info.includes(`process_id:${this.pid}\r\n`)
    } catch (error) {
      // A server whose default user may do nothing has started all the same.
      return /^(NOAUTH|NOPERM)/.test(/** @type {Error} */ (error).message)
    }
  }
}

function killAll() {
  for (const server of running) server.killNow()
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** @param {number} pid */
function isStopped(pid) {
  try {
    return /^\d+ \(.*\) [TtZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    // No /proc on this system, or no such process: nothing to wait for.
    return true
  }
}
