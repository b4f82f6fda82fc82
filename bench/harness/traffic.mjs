// @ts-check
/**
 * How many commands reach the server. `INFO commandstats` counts commands that a script calls like those that a client sends; here they
 * are told apart, because a client waits for the latter only.
 */
import { connect } from 'node:net'
import { BareRedis } from '../../scripts/bare-redis.mjs'

/** @typedef {import('../../scripts/redis-server.mjs').RedisServer} RedisServer */

/**
 * @typedef {object} Spent what was spent between two looks
 * @property {number} sent commands that clients sent
 * @property {number} inside commands that scripts called
 * @property {number} serverCpuMs processor time of the server
 * @property {Record<string, number>} byName calls of each command, both kinds
 */

/**
 * @typedef {object} Look
 * @property {Map<string, number>} calls
 * @property {number} cpuMs
 */

/** Tells that all has been seen. */
const END_MARK = 'all that was to be watched'
/** What looking itself sends. */
const INFOS_A_LOOK = 2

export class Traffic {
  #redis
  #inside

  /**
   * @param {BareRedis} redis
   * @param {ReadonlySet<string>} inside names of commands that only scripts call
   */
  constructor(redis, inside) {
    this.#redis = redis
    this.#inside = inside
  }

  /**
   * @param {RedisServer} server
   * @param {ReadonlySet<string>} [inside] from {@link commandsInScripts}; default: there are none
   */
  static async open(server, inside = new Set()) {
    return new Traffic(await BareRedis.connect({ port: server.port }), inside)
  }

  /** Processor time that the server has used since it started. */
  async cpuMs() {
    const cpu = await this.#redis.command('INFO', 'cpu')
    const seconds = [...cpu.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].map((found) => Number(found[1]))
    return seconds.reduce((sum, part) => sum + part, 0) * 1_000
  }

  /** @returns {Promise<Look>} */
  async look() {
    const stats = await this.#redis.command('INFO', 'commandstats')
    const calls = new Map()
    for (const [, name, count] of stats.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) calls.set(name, Number(count))
    return { calls, cpuMs: await this.cpuMs() }
  }

  /**
   * @param {Look} before
   * @returns {Promise<Spent>}
   */
  async since(before) {
    const after = await this.look()
    /** @type {Spent} */
    const spent = { sent: 0, inside: 0, serverCpuMs: after.cpuMs - before.cpuMs, byName: {} }
    for (const [name, count] of after.calls) {
      const calls = count - (before.calls.get(name) ?? 0) - (name === 'info' ? INFOS_A_LOOK : 0)
      if (calls === 0) continue
      spent.byName[name] = calls
      spent[this.#inside.has(name) ? 'inside' : 'sent'] += calls
    }
    return spent
  }

  close() {
    this.#redis.close()
  }
}

/**
 * Finds out which commands come out of scripts, by MONITOR, which shows where each command comes from. It slows the server down:
 * `exercise` is not to be measured.
 *
 * @param {RedisServer} server
 * @param {() => Promise<unknown>} exercise does once what will be measured
 * @returns {Promise<Set<string>>}
 * @throws Error when a command is used both ways, so that its calls can't be told apart
 */
export async function commandsInScripts(server, exercise) {
  const monitor = connect({ port: server.port, host: server.host })
  let text = ''
  monitor.setEncoding('utf8')
  const failed = new Promise((_, reject) => monitor.once('error', reject))
  const seen = (/** @type {string} */ part) =>
    new Promise((resolve) => {
      const look = () => text.includes(part) && resolve(undefined)
      monitor.on('data', look)
      look()
    })
  monitor.on('data', (chunk) => (text += chunk))
  const redis = await BareRedis.connect({ port: server.port })
  const watch = async () => {
    monitor.write('MONITOR\r\n')
    await seen('+OK')
    await exercise()
    // What was done before it arrives before it.
    await redis.command('ECHO', END_MARK)
    await seen(END_MARK)
  }
  try {
    await Promise.race([watch(), failed])
  } finally {
    redis.close()
    monitor.destroy()
  }
  const inside = new Set()
  const sent = new Set()
  for (const [, origin, name = ''] of text.matchAll(/^\+[\d.]+ \[\d+ ([^\]]+)\] "([^"]+)"/gm)) {
    const origins = origin === 'lua' ? inside : sent
    origins.add(name.toLowerCase())
  }
  for (const name of inside) if (sent.has(name)) throw new Error(`${name} is sent by clients and called by scripts: can't count it`)
  return inside
}
