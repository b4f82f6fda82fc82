// @ts-check
// Compiles the programs in test/types/ against the built package, in every way that compilers look for a package.
//
//   node scripts/check-types.mjs              with the installed TypeScript
//   node scripts/check-types.mjs 5.2 6.0      with these versions, which npx fetches

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const ALL = ['commonjs.cts', 'javascript.cjs', 'esm.mts', 'syntax.ts', 'api.ts']
const WAYS = [
  { module: 'node16', moduleResolution: 'node16', files: ALL },
  { module: 'nodenext', moduleResolution: 'nodenext', files: ALL },
  { module: 'esnext', moduleResolution: 'bundler', files: ['esm.mts', 'syntax.ts', 'api.ts'] },
  // TypeScript 7.0 no longer knows this one, 6.0 only when told to.
  { module: 'commonjs', moduleResolution: 'node10', files: ['commonjs.cts', 'syntax.ts', 'api.ts'], before: 7 },
]

// A user's folder: the programs, and a node_modules that has the package in it.
const folder = mkdtempSync(join(tmpdir(), 'halocksmith-types-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
cpSync(join(root, 'test/types'), folder, { recursive: true })
mkdirSync(join(folder, 'node_modules'))
symlinkSync(root, join(folder, 'node_modules/halocksmith'))
symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'))

const versions = process.argv.slice(2)
for (const version of versions.length > 0 ? versions : ['']) checkWith(version)

/** @param {string} version '' is the installed one */
function checkWith(version) {
  const installed = [process.execPath, join(root, 'node_modules/typescript/bin/tsc')]
  const [command = '', ...args] = version ? ['npx', '-y', '-p', `typescript@${version}`, 'tsc'] : installed
  const major = Number.parseInt(version || '7', 10)
  for (const { module, moduleResolution, files, before = 99 } of WAYS) {
    if (major >= before) continue
    const config = join(folder, `tsconfig.${moduleResolution}.json`)
    const deprecations = major === 6 ? { ignoreDeprecations: '6.0' } : {}
    writeFileSync(
      config,
      JSON.stringify({ extends: './tsconfig.json', compilerOptions: { module, moduleResolution, ...deprecations }, include: [], files }),
    )
    const { status } = spawnSync(command, [...args, '-p', config], { cwd: folder, stdio: 'inherit' })
    if (status !== 0) {
      console.error(`test/types does not compile as ${moduleResolution} resolves, TypeScript ${version || 'as installed'}`)
      process.exitCode = 1
    }
  }
}
