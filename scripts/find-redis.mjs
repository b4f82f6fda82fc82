// @ts-check
/**
 * Finds a Redis or Valkey server for the demo, the tests and the benchmark, and fetches one without asking where that is allowed:
 * as root from the system's packages, else unpacked from Debian's packages into a folder of this project, with no rights at all.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installAsRoot, libraryPath, SERVER_FILE, Steps, shortReason, unpackPackages } from './install-redis.mjs'

/**
 * @typedef {object} FoundServer
 * @property {string} path the program to start
 * @property {Record<string, string>} env what its environment needs beyond that of this process
 * @property {string} how for people: `found on PATH`, `unpacked from Debian packages`, `installed from Debian with apt-get`
 * @property {string} version for people: `redis-server 7.0.15`
 */

/**
 * @typedef {object} NoServer
 * @property {null} path
 * @property {string} reason why there is none and what to do about it, in one line for people
 */

/**
 * @typedef {object} FindOptions
 * @property {'never' | 'quiet'} install `quiet`: fetch one without asking when there is none; `never`: only look
 * @property {(line: string) => void} [log] told in a line what is being done; nothing is printed otherwise
 * @property {string} [cacheFolder] where one may be unpacked, and is looked for; default: in `node_modules/.cache` of this project
 * @property {number} [timeoutMs] how long fetching one may take; default 120,000
 */

const NAMES = ['redis-server', 'valkey-server']
const PROJECT_CACHE = fileURLToPath(new URL('../node_modules/.cache/halocksmith-redis', import.meta.url))
/** The folder inside the cache that holds the unpacked packages. */
const UNPACKED = 'unpacked'
const ON_PATH = 'found on PATH'
const BY_HAND = 'install redis-server or valkey-server so that it is on PATH, for example: apt-get install redis-server, brew install redis'

/**
 * Looks for `redis-server`, then `valkey-server`, on PATH and in the cache folder. Where there is none and `install` allows it, fetches
 * one: with `apt-get install` as root, else (or when that fails) by unpacking Debian's packages into the cache folder. What it installs
 * is not left running as a service. Never throws for a server that could not be had: the result then says why.
 *
 * @param {FindOptions} options
 * @returns {Promise<FoundServer | NoServer>}
 */
export async function findRedisServer({ install, log = () => {}, cacheFolder = PROJECT_CACHE, timeoutMs = 120_000 }) {
  const found = await look(cacheFolder)
  if (found) return found
  if (install === 'never') return { path: null, reason: `there is no redis-server or valkey-server on PATH; ${BY_HAND}` }
  if (!(await onPath('apt-get'))) return { path: null, reason: `there is no redis-server, and no apt-get to install it with; ${BY_HAND}` }

  const reasons = []
  const steps = new Steps(log, timeoutMs)
  for (const [what, fetchIt] of ways(cacheFolder)) {
    log(`no redis-server here: ${what}`)
    try {
      await fetchIt(steps)
      const found = await look(cacheFolder)
      if (!found) throw new Error('the redis-server that it brought does not run')
      const fetched = found.how === ON_PATH ? { ...found, how: 'installed from Debian with apt-get' } : found
      log(`now there is ${fetched.version}, ${fetched.how}`)
      return fetched
    } catch (error) {
      log(`that failed: ${shortReason(error)}`)
      reasons.push(`${what}: ${shortReason(error)}`)
    }
  }
  return { path: null, reason: `${reasons.join('; ')}; ${BY_HAND}` }
}

/**
 * @param {string} cacheFolder
 * @returns {[what: string, fetchIt: (steps: Steps) => Promise<void>][]} what to try, the best first
 */
function ways(cacheFolder) {
  /** @type {[string, (steps: Steps) => Promise<void>]} */
  const unpack = ['unpacking one from Debian packages', (steps) => unpackPackages(steps, cacheFolder, UNPACKED)]
  return process.getuid?.() === 0 ? [['installing it with apt-get', installAsRoot], unpack] : [unpack]
}

/**
 * @param {string} cacheFolder
 * @returns {Promise<FoundServer | null>}
 */
async function look(cacheFolder) {
  for (const name of NAMES) {
    const path = await onPath(name)
    const version = path && (await versionOf(path, {}))
    if (path && version) return { path, env: {}, how: ON_PATH, version }
  }
  const unpacked = join(cacheFolder, UNPACKED)
  const path = join(unpacked, SERVER_FILE)
  const env = await libraryPath(unpacked)
  const version = await versionOf(path, env)
  return version ? { path, env, how: 'unpacked from Debian packages', version } : null
}

/**
 * @param {string} path
 * @param {Record<string, string>} env
 * @returns {Promise<string | null>} such as `redis-server 7.0.15`; null when it does not run
 */
async function versionOf(path, env) {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { env: { ...process.env, ...env }, timeout: 10_000 })
    const name = stdout.toLowerCase().includes('valkey') ? 'valkey-server' : 'redis-server'
    return `${name} ${/\bv=(\S+)/.exec(stdout)?.[1] ?? 'of unknown version'}`
  } catch {
    return null
  }
}

/** @param {string} name */
async function onPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name)
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (runs && folder !== '') return path
  }
  return null
}
