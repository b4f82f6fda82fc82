// @ts-check
// Writes what makes one CommonJS implementation importable in every way, with the right types (docs/decisions/0002-package-shape.md).
//
// tsc has written for each entry point, say clients/index: index.js (CommonJS) and index.d.ts, which compilers read as CommonJS too.
// - index.mjs, index.d.mts: the same exports as an ES module
// - main.cjs, main.d.cts, for the package itself: require('halocksmith') is the default export, with all others as its properties
//
// The entry points are those of package.json, their exports those of the compiled modules: nothing here has to be kept in step by hand.

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'

const require = createRequire(import.meta.url)

const NOTE = '// Written by scripts/facades.mjs.\n'

/**
 * @param {string} root the package
 * @param {string} dist where tsc has written to
 */
export function writeFacades(root, dist) {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const [entry, conditions] of Object.entries(exports)) {
    if (typeof conditions === 'string') continue
    const module = conditions.import.default.replace(/^\.\/dist\//, '').replace(/\.mjs$/, '')
    const values = Object.keys(require(join(dist, `${module}.js`))).filter((name) => name !== 'default')
    const declared = declaredExports(join(dist, `${module}.d.ts`))
    const undeclared = values.filter((name) => !declared.has(name))
    if (undeclared.length > 0) throw new Error(`${module}: exported, but not in its types: ${undeclared.join(', ')}`)
    declared.delete('default')
    const files = entry === '.' ? mainFacade(values, [...declared]) : esmFacade(module, values)
    for (const [file, text] of Object.entries(files)) writeFileSync(join(dist, file), NOTE + text)
  }
}

/**
 * @param {string} module
 * @param {string[]} values
 * @returns {Record<string, string>} file name -> text
 */
function esmFacade(module, values) {
  const commonJs = `./${basename(module)}.js`
  return {
    [`${module}.mjs`]: `export { ${values.join(', ')} } from '${commonJs}'\n`,
    [`${module}.d.mts`]: `export * from '${commonJs}'\n`,
  }
}

/**
 * @param {string[]} values what index.js exports at run time, but for the default
 * @param {string[]} declared the same and the types
 * @returns {Record<string, string>} file name -> text
 */
function mainFacade(values, declared) {
  const named = esmFacade('index', values)
  const withDefault = `export { default } from './main.cjs'\n`
  return {
    'main.cjs': `'use strict'
const { default: halocksmith, ...named } = require('./index.js')
module.exports = Object.assign(halocksmith, named)
`,
    'main.d.cts': `import { default as factory, ${declared.join(', ')} } from './index.js'
/** Makes a lock function, the callback API of 2013. Every other export of the package is a property of this function. */
declare function halocksmith(...args: Parameters<typeof factory>): ReturnType<typeof factory>
declare namespace halocksmith {
  export { ${declared.join(', ')} }
}
export = halocksmith
`,
    'index.mjs': withDefault + named['index.mjs'],
    'index.d.mts': withDefault + named['index.d.mts'],
  }
}

/**
 * The names that a .d.ts of tsc exports, types included: those have no trace in the code. Fails on a form that it does not know.
 *
 * @param {string} file
 * @returns {Set<string>}
 */
function declaredExports(file) {
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  const statements = text.match(/^export (?:type )?\{[^}]*\}.*$|^export\b.*$/gm) ?? []
  return new Set(statements.flatMap((statement) => exportedBy(statement, file)))
}

const LIST = /^export (?:type )?\{([^}]*)\}/
const STAR = /^export \* from '(.+)\.js'/
const DECLARATION =
  /^export (?:\* as|(?:declare )?(?:abstract )?(?:class|const|enum|function|interface|let|namespace|type)) (\w+)|^export (default)\b/

/**
 * @param {string} statement
 * @param {string} file
 * @returns {string[]}
 */
function exportedBy(statement, file) {
  const list = LIST.exec(statement)
  if (list) return (list[1] ?? '').split(',').flatMap((item) => item.match(/\w+(?=\s*$)/) ?? [])
  const star = STAR.exec(statement)
  if (star) return [...declaredExports(join(dirname(file), `${star[1]}.d.ts`))].filter((name) => name !== 'default')
  const declaration = DECLARATION.exec(statement)
  const name = declaration?.[1] ?? declaration?.[2]
  if (!name) throw new Error(`${file}: don't know what this exports: ${statement}`)
  return [name]
}
