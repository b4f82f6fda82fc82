// @ts-check
/**
 * Finds a Redis or Valkey server for the demo, the tests and the benchmark, and fetches one without asking where that is allowed:
 * as root from the system's packages, else unpacked from Debian's packages into a folder of this project, with no rights at all.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

const NAMES = ['redis-server', 'valkey-server']
const PACKAGES = ['redis-server', 'redis-tools']
const PROJECT_CACHE = fileURLToPath(new URL('../node_modules/.cache/halocksmith-redis', import.meta.url))
/** Our own name for the folder inside the cache that holds the unpacked packages. */
const UNPACKED = 'unpacked'
const BY_HAND = 'install redis-server or valkey-server so that it is on PATH, for example: apt-get install redis-server, brew install redis'

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

/**
 * Looks for `redis-server`, then `valkey-server`, on PATH and in the cache folder. Where there is none and `install` allows it, fetches
 * one: with `apt-get install` as root, else (or when that fails) by unpacking Debian's packages into the cache folder. What it installs
 * is not left running as a service. Never throws for a server that could not be had: the result then says why.
 *
 * @param {FindOptions} options
 * @returns {Promise<FoundServer | NoServer>}
 */
export async function findRedisServer({ install, log = () => {}, cacheFolder = PROJECT_CACHE, timeoutMs = 120_000 }) {
  const found = (await findOnPath()) ?? (await findUnpacked(cacheFolder))
  if (found) return found
  if (install === 'never') return { path: null, reason: `no redis-server or valkey-server on PATH; ${BY_HAND}` }
  if (!(await onPath('apt-get'))) return { path: null, reason: `there is no apt-get on this machine to install one with; ${BY_HAND}` }

  const steps = new Steps(log, timeoutMs)
  const reasons = []
  if (process.getuid?.() === 0) {
    try {
      return await installAsRoot(steps)
    } catch (error) {
      reasons.push(`apt-get install: ${shortReason(error)}`)
      log(`could not install redis-server: ${shortReason(error)}`)
    }
  }
  try {
    return await unpackPackages(steps, cacheFolder)
  } catch (error) {
    reasons.push(`unpacking Debian's packages: ${shortReason(error)}`)
    return { path: null, reason: `${reasons.join('; ')}; ${BY_HAND}` }
  }
}

/** Runs commands one after another within one common time limit. */
class Steps {
  /**
   * @param {(line: string) => void} log
   * @param {number} timeoutMs
   */
  constructor(log, timeoutMs) {
    this.log = log
    this.deadline = performance.now() + timeoutMs
  }

  /**
   * @param {string} file
   * @param {string[]} args
   * @param {import('node:child_process').ExecFileOptions} [options]
   */
  async run(file, args, options = {}) {
    const leftMs = Math.floor(this.deadline - performance.now())
    if (leftMs < 1) throw new Error('the time for installing a server is over')
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C', ...options.env }
    // Output of apt-get can be long; the whole of it is only of interest when the command failed.
    const { stdout } = await run(file, args, { maxBuffer: 2 ** 24, ...options, timeout: leftMs, env, encoding: 'utf8' })
    return stdout
  }
}

/** @param {Steps} steps */
async function installAsRoot(steps) {
  const install = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=30', 'redis-server']
  steps.log('no redis-server here: installing it with apt-get')
  // Downloaded first, so that a slow network runs into the time limit there and not while the packages are half set up.
  const download = () => steps.run('apt-get', ['install', '--download-only', ...install])
  await download().catch(async () => {
    steps.log('no package lists, or old ones: apt-get update')
    await steps.run('apt-get', ['update', '-q'])
    await download()
  })
  await steps.run('apt-get', ['install', ...install])
  await stopService(steps)
  const found = await findOnPath()
  if (!found) throw new Error('redis-server is still not on PATH')
  steps.log(`installed ${found.version}`)
  return { ...found, how: 'installed from Debian with apt-get' }
}

/**
 * The package starts a service on port 6379, now and at every boot, unless the system forbids it. Nobody asked for one.
 *
 * @param {Steps} steps
 */
async function stopService(steps) {
  const systemd = await exists('/run/systemd/system')
  const stop = systemd ? ['systemctl', 'disable', '--now', 'redis-server.service'] : ['service', 'redis-server', 'stop']
  await steps.run(/** @type {string} */ (stop[0]), stop.slice(1)).catch((error) => steps.log(`the service of redis-server was not stopped: ${shortReason(error)}`))
}

/**
 * @param {Steps} steps
 * @param {string} cacheFolder
 */
async function unpackPackages(steps, cacheFolder) {
  steps.log('no redis-server here: unpacking one from Debian packages, without installing it')
  await mkdir(cacheFolder, { recursive: true })
  // Built aside and put in place by one rename: another process may be doing the same.
  const work = await mkdtemp(join(cacheFolder, 'new-'))
  try {
    const root = join(work, UNPACKED)
    const apt = await downloadPackages(steps, work, PACKAGES, [])
    await unpackAll(steps, work, root)
    const missing = await missingLibraries(steps, root)
    if (missing.length > 0) {
      const libraries = await absentLibraryPackages(steps, apt)
      steps.log(`it needs ${missing.join(', ')}: unpacking ${libraries.join(', ')}`)
      await downloadPackages(steps, work, libraries, apt)
      await unpackAll(steps, work, root)
      const still = await missingLibraries(steps, root)
      if (still.length > 0) throw new Error(`no package found for ${still.join(', ')}`)
    }
    await rename(root, join(cacheFolder, UNPACKED)).catch((error) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  const found = await findUnpacked(cacheFolder)
  if (!found) throw new Error('the unpacked redis-server does not run')
  steps.log(`unpacked ${found.version}`)
  return found
}

/**
 * @param {Steps} steps
 * @param {string} work
 * @param {string[]} packages
 * @param {string[]} apt options of apt-get that an earlier call found to be needed
 * @returns {Promise<string[]>} the options that made it work
 */
async function downloadPackages(steps, work, packages, apt) {
  try {
    await steps.run('apt-get', [...apt, 'download', '-q', ...packages], { cwd: work })
    return apt
  } catch (error) {
    if (apt.length > 0) throw error
  }
  // The system's package lists are missing or old, and only root may renew them: make lists of our own.
  steps.log('no package lists, or old ones: fetching them into the cache folder')
  await mkdir(join(work, 'lists', 'partial'), { recursive: true })
  await mkdir(join(work, 'archives', 'partial'), { recursive: true })
  const own = ['-o', `Dir::State::Lists=${join(work, 'lists')}`, '-o', `Dir::Cache=${work}`, '-o', 'APT::Sandbox::User=']
  await steps.run('apt-get', [...own, 'update', '-q'])
  await steps.run('apt-get', [...own, 'download', '-q', ...packages], { cwd: work })
  return own
}

/**
 * @param {Steps} steps
 * @param {string} work
 * @param {string} root
 */
async function unpackAll(steps, work, root) {
  for (const file of await readdir(work)) {
    if (file.endsWith('.deb')) await steps.run('dpkg', ['-x', join(work, file), root])
  }
}

/**
 * @param {Steps} steps
 * @param {string} root
 */
async function missingLibraries(steps, root) {
  const listed = await steps.run('ldd', [join(root, 'usr/bin/redis-server')], { env: await libraryPath(root) })
  return [...listed.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1])
}

/**
 * The library packages that redis-tools needs, directly or not, and that this machine lacks.
 *
 * @param {Steps} steps
 * @param {string[]} apt
 */
async function absentLibraryPackages(steps, apt) {
  const only = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`)
  const needed = await steps.run('apt-cache', [...apt, 'depends', '--recurse', ...only, 'redis-tools'])
  const installed = await steps.run('dpkg-query', ['-W', '-f', '${db:Status-Abbrev}${Package}\n'])
  const present = new Set([...installed.matchAll(/^ii (\S+)$/gm)].map((match) => match[1]))
  return [...needed.matchAll(/^(lib[^\s:]+)$/gm)].map((match) => match[1]).filter((name) => !present.has(name))
}

async function findOnPath() {
  for (const name of NAMES) {
    const path = await onPath(name)
    const version = path && (await versionOf(path, {}))
    if (path && version) return { path, env: {}, how: 'found on PATH', version }
  }
  return null
}

/** @param {string} cacheFolder */
async function findUnpacked(cacheFolder) {
  const root = join(cacheFolder, UNPACKED)
  const path = join(root, 'usr/bin/redis-server')
  if (!(await exists(path))) return null
  const env = await libraryPath(root)
  const version = await versionOf(path, env)
  return version ? { path, env, how: 'unpacked from Debian packages', version } : null
}

/**
 * @param {string} root
 * @returns {Promise<Record<string, string>>} the setting with which the unpacked server finds the unpacked libraries
 */
async function libraryPath(root) {
  const folders = [join(root, 'usr/lib'), join(root, 'lib')]
  const found = []
  for (const folder of folders) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    found.push(folder, ...entries.filter((entry) => entry.name.includes('-linux-')).map((entry) => join(folder, entry.name)))
  }
  return { LD_LIBRARY_PATH: found.join(delimiter) }
}

/**
 * @param {string} path
 * @param {Record<string, string>} env
 * @returns {Promise<string | null>} such as `redis-server 7.0.15`; null when it does not run
 */
async function versionOf(path, env) {
  try {
    const { stdout } = await run(path, ['--version'], { env: { ...process.env, ...env }, timeout: 10_000 })
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
    if (folder !== '' && (await exists(path, constants.X_OK))) return path
  }
  return null
}

/**
 * @param {string} path
 * @param {number} [mode]
 */
const exists = (path, mode) =>
  access(path, mode).then(
    () => true,
    () => false,
  )

/** @param {any} error */
function shortReason(error) {
  if (error.killed) return 'it took too long'
  const lines = `${error.stderr ?? ''}`.split('\n').filter((line) => /^(E:|.*error)/i.test(line))
  return lines[0] ?? `${error.message}`.split('\n', 1)[0]
}
