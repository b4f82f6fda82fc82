// @ts-check
/** Brings the packages that this folder alone needs. */
import { spawnSync } from 'node:child_process'
import { BENCH_FOLDER, versionOf, wantedPackages } from './packages.mjs'

/**
 * Installs them where they are missing or have another version. The benchmark goes on without those that can't be had.
 *
 * @param {(line: string) => void} log
 */
export function installPackages(log) {
  const stale = Object.entries(wantedPackages()).filter(([name, version]) => versionOf(name) !== version)
  if (stale.length === 0) return
  log(`npm ci --prefix bench: ${stale.map(([name, version]) => `${name} ${version}`).join(', ')}`)
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', BENCH_FOLDER]
  const { status, stderr, error } = spawnSync('npm', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    // On Windows npm is a batch file.
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  const why = error?.message ?? stderr.trim().split('\n').slice(-3).join(' ')
  log(`it failed, so the libraries that are not there are left out: ${why}`)
}
