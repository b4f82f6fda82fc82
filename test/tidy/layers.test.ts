import { describe, expect, test } from 'vitest'
import { filesIn, importsOf, read } from './tree.js'

/**
 * The layers of src/, top to bottom. A part (a folder, or a file) may import itself and whatever is on a line below its own; not what is
 * above, and not its neighbours.
 */
const LAYERS: readonly (readonly string[])[] = [
  // What the package exports.
  ['index.ts', 'memory.ts'],
  // The callback API of 2013 in terms of a locksmith.
  ['compat/'],
  ['locksmith.ts'],
  // What is asked, how one waits for it, how one keeps it.
  ['primitives/'],
  ['acquire/'],
  ['lease/'],
  // Which engine, over which client, the options of a locksmith mean.
  ['setup.ts'],
  // The engines, and the Redis clients that they may use.
  ['store/'],
  ['clients/'],
  // What everybody may import: options and their bounds, the error catalogue, the names of events.
  ['redis-options.ts'],
  ['options.ts'],
  ['errors.ts', 'events.ts'],
  // What imports nothing, apart from its folder because options need it: the two contracts as types, the arithmetic of leases for bounds.
  ['store/store.ts', 'clients/client.ts', 'lease/validity.ts'],
  ['util/'],
]

/** The outer ring: parts that use the package as any program does, by what it exports. */
const OUTER_RING = ['testing/', 'cli/', 'dashboard/', 'opentelemetry/']
const PUBLIC_API = ['index.ts', 'memory.ts', 'clients/index.ts']

/** Files that only one folder may import. */
const PRIVATE: Record<string, string> = {
  'store/redis/scripts.generated.ts': 'store/redis/',
}

/** Packages, and where they may be imported; Node's own modules may be anywhere. */
const PACKAGES: Record<string, string> = {
  '@redis/client': 'clients/',
}

/** What is imported: from a file in src, a path in src or a package's name. */
type Imports = Record<string, string[]>

/** The part that a file belongs to: the longest that matches, so that a file of its own goes before its folder. */
function partOf(path: string): string | undefined {
  const matches = [...LAYERS.flat(), ...OUTER_RING].filter((part) => (part.endsWith('/') ? path.startsWith(part) : path === part))
  return matches.sort((a, b) => b.length - a.length)[0]
}

const rankOf = (part: string): number => LAYERS.findIndex((parts) => parts.includes(part))

/** Why a file may not import another, or undefined. */
function objection(from: string, to: string, files: readonly string[]): string | undefined {
  if (to.startsWith('node:')) return undefined
  if (!files.includes(to)) {
    if (to.endsWith('.ts')) return 'there is no such file'
    const allowed = PACKAGES[to]
    return allowed && from.startsWith(allowed) ? undefined : `the package may be imported in: ${allowed ?? 'nothing'}`
  }
  const only = PRIVATE[to]
  if (only && !from.startsWith(only)) return `only ${only} may`
  const [fromPart, toPart] = [partOf(from), partOf(to)]
  if (!fromPart || !toPart) return 'a file in no layer: put it into the table of this test'
  if (fromPart === toPart) return undefined
  if (OUTER_RING.includes(fromPart)) return PUBLIC_API.includes(to) ? undefined : 'the outer ring sees the public API only'
  if (OUTER_RING.includes(toPart)) return 'the outer ring is imported by nobody'
  return rankOf(fromPart) < rankOf(toPart) ? undefined : 'imports point down only'
}

function violations(imports: Imports): string[] {
  const files = Object.keys(imports)
  return Object.entries(imports).flatMap(([from, targets]) =>
    targets.flatMap((to) => {
      const why = objection(from, to, files)
      return why ? [`${from} -> ${to}: ${why}`] : []
    }),
  )
}

/** The files of one circle of imports, or undefined. */
function cycle(imports: Imports): string[] | undefined {
  const done = new Set<string>()
  const walk = (file: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const next of imports[file] ?? []) {
      const found = walk(next, [...trail, file])
      if (found) return found
    }
    done.add(file)
    return undefined
  }
  for (const file of Object.keys(imports)) {
    const found = walk(file, [])
    if (found) return found
  }
  return undefined
}

const inSrc = (path: string): string => path.replace(/^src\//, '')
const actual: Imports = Object.fromEntries(filesIn('src', '.ts').map((file) => [inSrc(file), importsOf(file, read(file)).map(inSrc)]))

test('imports point down', () => {
  expect(violations(actual)).toEqual([])
})

test('there is no circle of imports', () => {
  expect(cycle(actual)).toBeUndefined()
})

test('every file is in a layer', () => {
  expect(Object.keys(actual).filter((file) => !partOf(file))).toEqual([])
})

describe('this test notices', () => {
  const everything: Imports = {
    'index.ts': [],
    'locksmith.ts': [],
    'store/store.ts': [],
    'store/redis/redis-store.ts': [],
    'store/redis/scripts.generated.ts': [],
    'clients/index.ts': [],
    'primitives/mutex.ts': [],
    'testing/index.ts': [],
    'errors.ts': [],
    'new.ts': [],
  }

  test.each([
    ['store/redis/redis-store.ts', 'locksmith.ts'],
    ['errors.ts', 'store/redis/redis-store.ts'],
    ['store/store.ts', 'errors.ts'],
    ['locksmith.ts', 'store/redis/scripts.generated.ts'],
    ['testing/index.ts', 'locksmith.ts'],
    ['index.ts', 'testing/index.ts'],
    ['primitives/mutex.ts', 'new.ts'],
    ['locksmith.ts', '@redis/client'],
    ['clients/index.ts', 'left-pad'],
    ['clients/index.ts', 'clients/missing.ts'],
  ])('%s -> %s', (from, to) => {
    expect(violations({ ...everything, [from]: [to] })).toHaveLength(1)
  })

  test('a circle', () => {
    expect(cycle({ a: ['b'], b: ['c', 'd'], c: [], d: ['b'] })).toEqual(['b', 'd', 'b'])
  })

  test('every form of import, and none in a comment', () => {
    const text = `
      import { a } from './a.js'
      import type { B } from '../b.js'
      import './c.js'
      export * from './d.js'
      export type {
        E,
      } from './e.js'
      type F = import('./f.js').F
      const g = await import("@redis/client")
      const h = require('node:fs')
      /** import x from './x.js' */
      // import y from './y.js'`
    const expected = ['p/a.ts', 'b.ts', 'p/c.ts', 'p/d.ts', 'p/e.ts', 'p/f.ts', '@redis/client', 'node:fs']
    expect(importsOf('p/q.ts', text)).toEqual(expected)
  })
})
