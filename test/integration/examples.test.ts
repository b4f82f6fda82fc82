// The examples in the documentation are programs: each block marked `js run` is run as it stands, against a server of the test's own.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { useRedis } from '../support/redis.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const redis = useRedis()

interface Example {
  readonly where: string
  readonly code: string
}

function examplesIn(file: string): Example[] {
  const text = readFileSync(`${root}/${file}`, 'utf8')
  return [...text.matchAll(/^```js run\n([\s\S]*?)^```/gm)].map((found) => {
    const line = text.slice(0, found.index).split('\n').length
    return { where: `${file}:${line}`, code: found[1] as string }
  })
}

function documents(): string[] {
  const pages = readdirSync(`${root}/docs`, { recursive: true }).map((file) => `docs/${String(file).replaceAll('\\', '/')}`)
  return ['README.md', 'ARCHITECTURE.md', ...pages].filter((file) => file.endsWith('.md'))
}

const examples = documents().flatMap(examplesIn)

test('there are examples', () => {
  expect(examples.filter(({ where }) => where.startsWith('README.md')).length).toBeGreaterThanOrEqual(3)
})

test.for(examples)('$where runs', async ({ code }) => {
  const isModule = /^import /m.test(code)
  // The example of 2013 has no address in it, and calls the reader's own function; it never closes its connection, which holds nothing up.
  const program = isModule
    ? code
    : `let done = 0; const doSomething = () => { done++ }; process.on('exit', () => { if (done !== 1) process.exitCode = 1 })
       setTimeout(() => {}, 1000)
       ${code.replace('timeout: 120', `timeout: 120, nodes: ['127.0.0.1:${redis.port}']`)}`
  const args = [`--input-type=${isModule ? 'module' : 'commonjs'}`, '-e', program]
  const env = { ...process.env, REDIS_URL: redis.url }
  const { stderr } = await promisify(execFile)(process.execPath, args, { cwd: root, env, timeout: 15_000 })
  expect(stderr).toBe('')
})
