// @ts-check
/** The two ways in which `find-redis.mjs` fetches a Redis server on Debian and its kin. Neither asks anything. */
import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** In Debian the program is in `redis-tools`, and `redis-server` has the link to it, with the service. */
const PACKAGES = ['redis-server', 'redis-tools']

/** Where the server is inside a folder of unpacked packages. */
export const SERVER_FILE = 'usr/bin/redis-server'

/** Runs commands one after another within one common time limit. */
export class Steps {
  /**
   * @param {(line: string) => void} log told in a line what is being done
   * @param {number} timeoutMs for all commands together
   */
  constructor(log, timeoutMs) {
    this.log = log
    this.deadline = performance.now() + timeoutMs
  }

  /**
   * @param {string} file
   * @param {string[]} args
   * @param {{ cwd?: string, env?: Record<string, string> }} [options]
   * @returns {Promise<string>} what it printed
   */
  async run(file, args, { cwd, env } = {}) {
    const leftMs = Math.floor(this.deadline - performance.now())
    if (leftMs < 1) throw new Error('it took too long')
    // DEBIAN_FRONTEND: packages may not ask either. LC_ALL: what they print is read.
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C', ...env }
    const { stdout } = await promisify(execFile)(file, args, { cwd, env: environment, timeout: leftMs, maxBuffer: 2 ** 24 })
    return stdout
  }
}

/**
 * Installs the package for all users. It would start a service on port 6379, now and at every boot, unless the system forbids it; nobody
 * asked for one, so it is stopped.
 *
 * @param {Steps} steps
 */
export async function installAsRoot(steps) {
  const args = ['install', '-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=30', 'redis-server']
  // Downloaded first, so that a slow network runs into the time limit there and not while packages are half set up.
  const download = () => steps.run('apt-get', [...args, '--download-only'])
  await download().catch(async () => {
    steps.log('the package lists are missing or old: apt-get update')
    await steps.run('apt-get', ['update', '-q'])
    await download()
  })
  await steps.run('apt-get', args)

  const systemd = await access('/run/systemd/system').then(
    () => true,
    () => false,
  )
  const stopped = systemd
    ? steps.run('systemctl', ['disable', '--now', 'redis-server.service'])
    : steps.run('service', ['redis-server', 'stop'])
  await stopped.catch((error) => steps.log(`the service redis-server could not be stopped: ${shortReason(error)}`))
}

/**
 * Unpacks the packages, and those of libraries that this machine lacks, without installing anything.
 *
 * @param {Steps} steps
 * @param {string} folder made when it is missing
 * @param {string} name what the unpacked packages are called in it; left as it is when it is there already
 */
export async function unpackPackages(steps, folder, name) {
  await mkdir(folder, { recursive: true })
  // Built aside and put in place by one rename: another process may be doing the same.
  const work = await mkdtemp(join(folder, 'new-'))
  try {
    const root = join(work, name)
    const apt = await download(steps, work, PACKAGES)
    await unpack(steps, work, root)
    if ((await missingLibraries(steps, root)).length > 0) {
      const libraries = await absentLibraryPackages(steps, apt)
      steps.log(`it needs libraries: unpacking ${libraries.join(', ')} too`)
      await download(steps, work, libraries, apt)
      await unpack(steps, work, root)
      const missing = await missingLibraries(steps, root)
      if (missing.length > 0) throw new Error(`no package has ${missing.join(', ')}`)
    }
    await rename(root, join(folder, name)).catch((error) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/**
 * The setting with which an unpacked program finds unpacked libraries.
 *
 * @param {string} root
 * @returns {Promise<Record<string, string>>}
 */
export async function libraryPath(root) {
  const folders = []
  for (const folder of [join(root, 'usr/lib'), join(root, 'lib')]) {
    const entries = await readdir(folder).catch(() => [])
    folders.push(folder, ...entries.filter((entry) => entry.includes('-linux-')).map((entry) => join(folder, entry)))
  }
  return { LD_LIBRARY_PATH: folders.join(delimiter) }
}

/**
 * Why a command failed, in one line.
 *
 * @param {any} error
 * @returns {string}
 */
export function shortReason(error) {
  if (error.killed) return 'it took too long'
  const lines = `${error.stderr ?? ''}`.split('\n').filter((line) => /^E:|error/i.test(line))
  return lines[0] ?? `${error.message}`.split('\n', 1)[0] ?? ''
}

/**
 * @param {Steps} steps
 * @param {string} work the folder for the packages
 * @param {string[]} packages
 * @param {string[]} [apt] options of apt-get that an earlier download turned out to need
 * @returns {Promise<string[]>} the options with which it worked
 */
async function download(steps, work, packages, apt) {
  const get = async (/** @type {string[]} */ options) => {
    await steps.run('apt-get', [...options, 'download', '-q', ...packages], { cwd: work })
    return options
  }
  if (apt) return get(apt)
  return get([]).catch(async () => {
    // Only root may renew the system's lists; we can have our own.
    steps.log('the package lists are missing or old: fetching them into the cache folder')
    await mkdir(join(work, 'lists', 'partial'), { recursive: true })
    await mkdir(join(work, 'archives', 'partial'), { recursive: true })
    const own = ['-o', `Dir::State::Lists=${join(work, 'lists')}`, '-o', `Dir::Cache=${work}`, '-o', 'APT::Sandbox::User=']
    await steps.run('apt-get', [...own, 'update', '-q'])
    return get(own)
  })
}

/**
 * @param {Steps} steps
 * @param {string} work
 * @param {string} root
 */
async function unpack(steps, work, root) {
  for (const file of await readdir(work)) {
    if (file.endsWith('.deb')) await steps.run('dpkg', ['-x', join(work, file), root])
  }
}

/**
 * @param {Steps} steps
 * @param {string} root
 */
async function missingLibraries(steps, root) {
  const listed = await steps.run('ldd', [join(root, SERVER_FILE)], { env: await libraryPath(root) })
  return [...listed.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1])
}

/**
 * The library packages that the program needs, directly or not, and that this machine lacks.
 *
 * @param {Steps} steps
 * @param {string[]} apt
 */
async function absentLibraryPackages(steps, apt) {
  const not = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`)
  const needed = await steps.run('apt-cache', [...apt, 'depends', '--recurse', ...not, 'redis-tools'])
  const known = await steps.run('dpkg-query', ['-W', '-f', '${db:Status-Abbrev}${Package}\n'])
  const installed = new Set([...known.matchAll(/^ii (\S+)$/gm)].map((match) => match[1]))
  return [...needed.matchAll(/^(lib[^\s:]+)$/gm)].map((match) => `${match[1]}`).filter((name) => !installed.has(name))
}
