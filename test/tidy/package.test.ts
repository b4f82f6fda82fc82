import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { read } from './tree.js'

// What npm test has built, loaded by its name as a program does. Its types are the business of scripts/check-types.mjs.

const { exports, typesVersions, dependencies } = JSON.parse(read('package.json'))
const subpaths = Object.keys(exports).filter((path) => path !== '.' && path !== './package.json')
const names = ['halocksmith', ...subpaths.map((path) => path.replace(/^\./, 'halocksmith'))]

/** What a plain Node process, which knows nothing of vitest's module loader, makes of an ES module that also has `require`. */
function inNode(code: string): any {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const text = `import { createRequire } from 'node:module'; const require = createRequire(process.cwd() + '/x'); ${code}`
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', text], { cwd, encoding: 'utf8' }))
}

test("require('halocksmith') is the factory, with every export as a property", () => {
  const seen = inNode(`
    const halocksmith = require('halocksmith')
    const all = await import('halocksmith')
    console.log(JSON.stringify({
      type: typeof halocksmith,
      isDefault: all.default === halocksmith,
      different: Object.keys(all).filter(name => name !== 'default' && all[name] !== halocksmith[name]),
      names: Object.keys(all),
    }))`)
  expect(seen).toMatchObject({ type: 'function', isDefault: true, different: [] })
  expect(seen.names).toEqual(expect.arrayContaining(['createLocksmith', 'LockTimeoutError', 'LockLostError', 'default']))
})

test.each(names.slice(1))('%s is the same module for require and import', (name) => {
  const { required, imported, different } = inNode(`
    const required = require('${name}')
    const imported = await import('${name}')
    const different = Object.keys(imported).filter(name => imported[name] !== required[name])
    console.log(JSON.stringify({ required: Object.keys(required).sort(), imported: Object.keys(imported).sort(), different }))`)
  expect(imported).toEqual(required)
  expect(imported).not.toEqual([])
  expect(different).toEqual([])
})

test('loading it loads no Redis client and starts nothing', () => {
  const loaded = inNode(`
    for (const name of ${JSON.stringify(names)}) require(name)
    const files = Object.keys(require.cache).filter(file => file.includes('node_modules'))
    console.log(JSON.stringify({ files, active: process.getActiveResourcesInfo().filter(kind => kind !== 'PipeWrap') }))`)
  expect(loaded).toEqual({ files: [], active: [] })
})

test('compilers that do not read "exports" find the types of every sub-path', () => {
  const fromExports = subpaths.map((path) => [path.replace('./', ''), [exports[path].require.types]])
  expect(typesVersions['*']).toEqual(Object.fromEntries(fromExports))
})

test('there is one runtime dependency', () => {
  expect(Object.keys(dependencies)).toEqual(['@redis/client'])
})
