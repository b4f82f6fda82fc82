// @ts-check
/** What is installed, and in which version. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const BENCH_FOLDER = fileURLToPath(new URL('..', import.meta.url))
const LIBRARY_FOLDER = fileURLToPath(new URL('../..', import.meta.url))

/**
 * @param {string} name
 * @param {string} [folder] default: this folder's own; further up there may be another one of this name, which is not meant
 * @returns {string | undefined} undefined: it is not there
 */
export function versionOf(name, folder = BENCH_FOLDER) {
  // Not by resolving it: a package need not export its package.json.
  const file = join(folder, 'node_modules', name, 'package.json')
  // npm takes a version with a v before it too.
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version.replace(/^v/, '') : undefined
}

/** @returns {string} of the client that the library brings */
export function clientVersion() {
  return versionOf('@redis/client', LIBRARY_FOLDER) ?? 'of unknown version'
}

/** @param {readonly string[]} names */
export function missingPackages(names) {
  return names.filter((name) => versionOf(name) === undefined)
}

/** @returns {Record<string, string>} the packages of this folder alone, and the versions that it wants */
export function wantedPackages() {
  return JSON.parse(readFileSync(join(BENCH_FOLDER, 'package.json'), 'utf8')).devDependencies
}
