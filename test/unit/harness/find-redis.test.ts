import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { findRedisServer } from '../../../scripts/find-redis.mjs'

/** A machine made of shell scripts: these are all the programs on its PATH. Whatever they are called with is in `calls`. */
let bin: string
let cacheFolder: string
let log: string[]

const calls = () => (existsSync(join(bin, 'calls')) ? readFileSync(join(bin, 'calls'), 'utf8').trim().split('\n') : [])

function program(name: string, script: string): void {
  const own = 'BIN=${0%/*}; PATH=/usr/bin:/bin'
  writeFileSync(join(bin, name), `#!/bin/sh\n${own}\necho "${name} $*" >> "$BIN/calls"\n${script}\n`)
  chmodSync(join(bin, name), 0o755)
}

const server = (name: string, version: string) => program(name, `echo "${name} v=${version} sha=0"`)
const MAKE_SERVER = (file: string) => `printf '#!/bin/sh\\necho "Redis server v=7.7.7"' > "${file}"; chmod 755 "${file}"`
const find = (install: 'never' | 'quiet', timeoutMs = 20_000) =>
  findRedisServer({ install, cacheFolder, timeoutMs, log: (line) => log.push(line) })

beforeEach(() => {
  const machine = mkdtempSync(join(tmpdir(), 'halocksmith-machine-'))
  bin = join(machine, 'bin')
  cacheFolder = join(machine, 'cache')
  mkdirSync(bin)
  log = []
  vi.stubEnv('PATH', bin)
  onTestFinished(() => {
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
    rmSync(machine, { recursive: true })
  })
})

describe('on PATH', () => {
  test('redis-server is preferred to valkey-server', async () => {
    server('redis-server', '7.0.15')
    server('valkey-server', '8.1.0')
    const path = join(bin, 'redis-server')
    await expect(find('quiet')).resolves.toEqual({ path, env: {}, how: 'found on PATH', version: 'redis-server 7.0.15' })
  })

  test('valkey-server will do, also when redis-server does not run', async () => {
    program('redis-server', 'exit 127')
    server('valkey-server', '8.1.0')
    await expect(find('never')).resolves.toMatchObject({ path: join(bin, 'valkey-server'), version: 'valkey-server 8.1.0' })
  })

  test('when there is none, the reason says what to do, and nothing was tried', async () => {
    program('apt-get', '')
    await expect(find('never')).resolves.toEqual({ path: null, reason: expect.stringMatching(/no redis-server .* apt-get install/) })
    expect([calls(), log]).toEqual([[], []])
  })

  test('a machine without apt-get is left alone', async () => {
    await expect(find('quiet')).resolves.toEqual({ path: null, reason: expect.stringContaining('no apt-get') })
  })
})

describe('as root', () => {
  beforeEach(() => {
    vi.spyOn(process as { getuid(): number }, 'getuid').mockReturnValue(0)
    program('service', '')
    program('systemctl', '')
  })

  test('the package is installed, with fresh lists, and its service is stopped', async () => {
    program(
      'apt-get',
      `case "$*" in
        update*) touch "$BIN/lists" ;;
        *--download-only*) [ -e "$BIN/lists" ] || { echo 'E: Unable to locate package redis-server' >&2; exit 100; } ;;
        install*) ${MAKE_SERVER('$BIN/redis-server')} ;;
      esac`,
    )
    const found = await find('quiet')
    expect(found).toMatchObject({
      path: join(bin, 'redis-server'),
      how: 'installed from Debian with apt-get',
      version: 'redis-server 7.7.7',
    })
    expect(calls().map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'apt-get install',
      'apt-get update',
      'apt-get install',
      'apt-get install',
      expect.stringMatching(/^service redis-server$|^systemctl disable$/),
    ])
    expect(log[0]).toBe('no redis-server here: installing it with apt-get')
  })

  test('what apt-get has against it is in the reason, as is that unpacking failed too', async () => {
    program('apt-get', `echo 'E: Could not get lock' >&2; exit 100`)
    const { path, reason } = (await find('quiet')) as { path: null; reason: string }
    expect(path).toBeNull()
    expect(reason).toMatch(/installing it with apt-get: E: Could not get lock; unpacking .*: E: Could not get lock; install redis-server/)
  })
})

describe('without rights', () => {
  beforeEach(() => {
    vi.spyOn(process as { getuid(): number }, 'getuid').mockReturnValue(1_000)
    // A package is a file with its name in it; unpacking one makes what that package has.
    program(
      'apt-get',
      `case "$*" in
        *update*) touch "$BIN/lists" ;;
        *download*)
          [ -e "$BIN/lists" ] || { echo "E: Can't find a source" >&2; exit 100; }
          while [ "$1" != -q ]; do shift; done; shift
          for name; do echo "$name" > "$name.deb"; done ;;
      esac`,
    )
    program(
      'dpkg',
      `read -r name < "$2"
      case "$name" in
        redis-server) mkdir -p "$3/usr/bin"; ${MAKE_SERVER('$3/usr/bin/redis-server')} ;;
        lib*) mkdir -p "$3/usr/lib/x86_64-linux-gnu"; touch "$3/usr/lib/x86_64-linux-gnu/$name" ;;
      esac`,
    )
    program('apt-cache', `printf 'redis-tools\\n  Depends: libc6\\nlibc6\\nliblzf1\\nlibjemalloc2\\nperl\\n'`)
    program('dpkg-query', `printf 'ii libc6\\nrc liblzf1\\n'`)
    program('ldd', '')
  })

  test('packages are unpacked into the cache folder, and those of absent libraries with them', async () => {
    program('ldd', `case "$LD_LIBRARY_PATH" in *x86_64*) ;; *) printf '\\tliblzf.so.1 => not found\\n' ;; esac`)
    writeFileSync(join(bin, 'lists'), '')
    const found = await find('quiet')
    expect(found).toMatchObject({
      path: join(cacheFolder, 'unpacked/usr/bin/redis-server'),
      env: { LD_LIBRARY_PATH: expect.stringContaining(join(cacheFolder, 'unpacked/usr/lib/x86_64-linux-gnu')) },
      how: 'unpacked from Debian packages',
    })
    expect(log).toContain('it needs libraries: unpacking liblzf1, libjemalloc2 too')
    expect(calls().join('\n')).not.toMatch(/apt-get (install|update)/)
    expect(readdirSync(cacheFolder)).toEqual(['unpacked'])

    await expect(find('never')).resolves.toEqual(found)
  })

  test('lists of our own are fetched where the system has none', async () => {
    await expect(find('quiet')).resolves.toMatchObject({ how: 'unpacked from Debian packages' })
    expect(calls().find((line) => line.includes('update'))).toMatch(/Dir::State::Lists=.*cache/)
  })

  test('two processes at once do not disturb each other', async () => {
    writeFileSync(join(bin, 'lists'), '')
    const [one, other] = await Promise.all([find('quiet'), find('quiet')])
    expect(one).toEqual(other)
    expect(one.path).not.toBeNull()
    expect(readdirSync(cacheFolder)).toEqual(['unpacked'])
  })

  test('nothing half-done is left behind', async () => {
    program('ldd', `printf '\\tlibnew.so.9 => not found\\n'`)
    writeFileSync(join(bin, 'lists'), '')
    await expect(find('quiet')).resolves.toMatchObject({ path: null, reason: expect.stringContaining('no package has libnew.so.9') })
    expect(readdirSync(cacheFolder)).toEqual([])
  })

  test('it ends in time', async () => {
    program('apt-get', 'exec sleep 60')
    const began = performance.now()
    await expect(find('quiet', 300)).resolves.toMatchObject({ path: null, reason: expect.stringContaining('it took too long') })
    expect(performance.now() - began).toBeLessThan(10_000)
  })
})
