import { expect, test } from 'vitest'
import { ERROR_CODES } from '../../src/errors.js'
import { filesIn, read } from './tree.js'

const CODE = /\bLOCK_[A-Z]+\b/g

test('the catalogue has every error code that the sources mention', () => {
  const mentioned = new Set(filesIn('src', '.ts').flatMap((file) => read(file).match(CODE) ?? []))
  expect([...mentioned].sort()).toEqual([...ERROR_CODES].sort())
})

test('docs/reference/errors.md has a heading for every error code, and for no other', () => {
  const headings = read('docs/reference/errors.md')
    .split('\n')
    .filter((line) => line.startsWith('#'))
  const documented = headings.flatMap((line) => line.match(CODE) ?? [])
  expect(documented.sort()).toEqual([...ERROR_CODES].sort())
})
