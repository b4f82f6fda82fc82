import { describe, expect, test } from 'vitest'
import { filesIn, projectFiles, read } from './tree.js'

/** Beyond this a file is more than one idea. How long a function may be is the linter's business (biome.json). */
const MAX_LINES = 400

test(`no source file has more than ${MAX_LINES} lines`, () => {
  const sources = [...filesIn('src', '.ts'), ...filesIn('src', '.lua')].filter((file) => !file.endsWith('.generated.ts'))
  const lengths = sources.map((file) => ({ file, lines: read(file).trimEnd().split('\n').length }))
  expect(lengths.filter(({ lines }) => lines > MAX_LINES)).toEqual([])
  expect(lengths).not.toEqual([])
})

// The brackets keep this file from finding itself.
const FORBIDDEN: Record<string, RegExp> = {
  'a mark of something unfinished': /\b(?:T[O]DO|F[I]XME|X[X]X)\b/,
  "a path of one person's machine": /(?<![\w.~-])\/(?:[t]mp|[r]oot|[h]ome|[w]ork)\//,
  'a path out of the project': /\.\.\/[s]hared\b/,
}

/** Every line of `text` that has what does not belong there. */
const findings = (file: string, text: string): string[] =>
  text
    .split('\n')
    .flatMap((line, index) =>
      Object.entries(FORBIDDEN).flatMap(([what, pattern]) => (pattern.test(line) ? [`${file}:${index + 1}: ${what}: ${line.trim()}`] : [])),
    )

test('nothing unfinished, no paths of one machine', () => {
  // Checksums may spell anything.
  const files = projectFiles().filter((file) => !file.endsWith('package-lock.json'))
  expect(files).toContain('package.json')
  expect(files.flatMap((file) => findings(file, read(file)))).toEqual([])
})

describe('this test notices', () => {
  test.each(['// T_O_D_O: later', "open('/_tmp/x')", 'cd /_home/me', 'see .._/shared/page.md', '/_work/main'])('%s', (line) => {
    expect(findings('x', line.replaceAll('_', ''))).toHaveLength(1)
  })

  test.each(['test/_tmp/x', 'https://host/_home/', './_work/', 'toDo', 'shared/x'])('but not %s', (line) => {
    expect(findings('x', line.replaceAll('_', ''))).toEqual([])
  })
})
