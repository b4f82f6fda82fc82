// @ts-check
/** What is installed, and in which version. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where the packages of the benchmark are, and further up those of the library. */
export const BENCH_FOLDER = fileURLToPath(new URL('..', import.meta.url))

/**
 * As Node looks for it, but for its package.json, which a package need not export.
 *
 * @param {string} name
 * @returns {string | undefined} undefined: it is not there
 */
export function versionOf(name) {
  for (let folder = BENCH_FOLDER; ; folder = dirname(folder)) {
    const file = join(folder, 'node_modules', name, 'package.json')
    // npm takes a version with a v before it too.
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).version.replace(/^v/, '')
    if (folder === dirname(folder)) return undefined
  }
}

/** @param {readonly string[]} names */
export function missingPackages(names) {
  return names.filter((name) => versionOf(name) === undefined)
}

/** @returns {Record<string, string>} the packages of this folder alone, and the versions that it wants */
export function wantedPackages() {
  return JSON.parse(readFileSync(join(BENCH_FOLDER, 'package.json'), 'utf8')).devDependencies
}
