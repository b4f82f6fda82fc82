import { existsSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { projectFiles, read } from './tree.js'

/** A page that names a test as its proof, or another page, is only as good as its links. */

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = projectFiles().filter((file) => file.endsWith('.md'))

/** The anchor that a heading gets: lower case, words with hyphens between them. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-')

const anchorsIn = (text: string): string[] =>
  [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading))

/** Links of a page that lead nowhere; those to other hosts are not looked at. */
function deadLinks(page: string, text: string, exists: (path: string) => boolean): string[] {
  const links = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return links.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false
    const [path = '', anchor] = target.split('#')
    const file = path === '' ? page : posix.join(posix.dirname(page), path)
    if (!exists(file)) return true
    return anchor !== undefined && !anchorsIn(path === '' ? text : read(file)).includes(anchor)
  })
}

test.each(pages)('every link of %s leads somewhere', (page) => {
  expect(deadLinks(page, read(page), (path) => existsSync(`${root}/${path}`))).toEqual([])
})

describe('this test notices', () => {
  const text = '# A heading, `code` and all\n[a](#a-heading-code-and-all) [b](#none) [c](gone.md) [d](here.md) [e](https://host/)'

  test('links to nothing', () => {
    expect(deadLinks('docs/page.md', text, (path) => path !== 'docs/gone.md')).toEqual(['#none', 'gone.md'])
  })
})
