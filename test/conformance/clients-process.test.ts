import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../scripts/redis-server.mjs'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** Whether a process with a client stays alive, or ends by itself. */

const redis = useRedis()
const root = fileURLToPath(new URL('../..', import.meta.url))
const children = new Set<ChildProcess>()
let compiled: string

beforeAll(() => {
  // Within node_modules, so that the packages are found from there.
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  compiled = mkdtempSync(join(cache, 'clients-'))
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
  // Whether all is well typed is checked elsewhere.
  const args = [tsc, '-p', root, '--outDir', compiled, '--declaration', 'false', '--noEmitOnError', 'false']
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (!existsSync(join(compiled, 'clients', 'owned.js'))) throw new Error(stdout)
})

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
})

afterAll(() => rmSync(compiled, { recursive: true, force: true }))

interface Child {
  readonly lines: string[]
  readonly ended: Promise<{ code: number | null; errors: string }>
  isAlive(): boolean
}

/** Runs a script that has `client`, our own connection to `port`, and `say` to print a line. */
function run(script: string, port: number, options = {}): Child {
  const head = `
    const { createOwnedClient } = require(${JSON.stringify(join(compiled, 'clients', 'owned.js'))})
    const { toRedisClient } = require(${JSON.stringify(join(compiled, 'clients', 'detect.js'))})
    const options = { ...${JSON.stringify(options)}, socket: { host: '127.0.0.1', port: ${port} } }
    const client = createOwnedClient({ options, describe: 'redis' })
    const say = (line) => process.stdout.write(line + '\\n')
    const silent = { message() {}, restored() {} }
    const up = () => new Promise((resolve) => client.watch({ up: resolve, down() {} }))
    const main = async () => {${script}}
    main()`
  const child = spawn(process.execPath, ['-e', head], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  const lines: string[] = []
  let errors = ''
  child.stdout.on('data', (data) => lines.push(...String(data).trim().split('\n')))
  child.stderr.on('data', (data) => (errors += data))
  const ended = new Promise<{ code: number | null; errors: string }>((resolve) => {
    child.on('close', (code) => {
      children.delete(child)
      resolve({ code, errors })
    })
  })
  return { lines, ended, isAlive: () => children.has(child) }
}

async function endsByItself(child: Child): Promise<void> {
  const timeout = new Promise((resolve) => setTimeout(resolve, 10_000, 'still alive'))
  expect(await Promise.race([child.ended, timeout])).toEqual({ code: 0, errors: '' })
}

test.each([{ RESP: 3 }, { RESP: 2 }])('an idle client does not keep the process alive: %o', async (options) => {
  const script = `
    client.keepProcessAlive(true)
    await client.subscribe('c', silent)
    say(await client.command(['PING']))
    client.keepProcessAlive(false)`
  const child = run(script, redis.port, options)
  await endsByItself(child)
  expect(child.lines).toEqual(['PONG'])
})

test('a client that was only told to connect does not keep the process alive', async () => {
  await endsByItself(run('client.connect()', redis.port))
})

test.each(['localhost', '127.0.0.1'])('nor does one that connects to %s, where nobody is', async (host) => {
  const script = `
    options.socket.host = '${host}'
    client.connect()
    const timer = setTimeout(() => {}, 20_000)
    let downs = 0
    client.watch({ up() {}, down: () => ++downs === 3 && clearTimeout(timer) })`
  await endsByItself(run(script, await freePort()))
})

test('nor one that is connected to the second address of its host', async () => {
  const script = `
    const addresses = [{ address: '127.0.0.77', family: 4 }, { address: '127.0.0.1', family: 4 }]
    Object.assign(options.socket, { host: 'two.example', autoSelectFamily: true, lookup: (_, __, done) => done(null, addresses) })
    client.connect()
    await up()
    say('up')`
  const child = run(`const timer = setTimeout(() => {}, 20_000); ${script}; clearTimeout(timer)`, redis.port)
  await endsByItself(child)
  expect(child.lines).toEqual(['up'])
})

test('nor one whose server accepts and says nothing', async () => {
  await redis.server.pause()
  try {
    await endsByItself(run('client.connect(); setTimeout(() => {}, 200)', redis.port))
  } finally {
    redis.server.resume()
  }
})

test('a command under way keeps it alive until the reply', async () => {
  const script = `
    client.keepProcessAlive(true)
    client.connect()
    await up()
    const reply = client.command(['BLPOP', 'list', '0'])
    say('sent')
    say(String(await reply))
    client.keepProcessAlive(false)`
  const child = run(script, redis.port)
  await until(() => child.lines.includes('sent'))
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(child.isAlive()).toBe(true)
  await redis.command('RPUSH', 'list', 'item')
  await endsByItself(child)
  expect(child.lines).toEqual(['sent', 'list,item'])
})

test('whoever waits for a server that is not there is kept alive, and let go at the end', async () => {
  const port = await freePort()
  const script = `
    client.keepProcessAlive(true)
    client.connect()
    await new Promise((resolve) => client.watch({ up() {}, down: resolve }))
    await new Promise((resolve) => setTimeout(resolve, 700).unref())
    say('given up')
    client.keepProcessAlive(false)`
  const child = run(script, port)
  await endsByItself(child)
  expect(child.lines).toEqual(['given up'])
})

test('a connection that came back is as its predecessor was', async () => {
  const script = `
    client.keepProcessAlive(true)
    client.connect()
    await up()
    say('up')
    await up()
    say('up again')
    client.keepProcessAlive(false)`
  const child = run(script, redis.port)
  await until(() => child.lines.includes('up'))
  await redis.killClients()
  await endsByItself(child)
  expect(child.lines).toEqual(['up', 'up again'])
})

const callers: [string, string][] = [
  ['redis-4', "require('redis-4').createClient(options); caller.unref(); await caller.connect()"],
  ['redis-6', "require('redis-6').createClient({ ...options, RESP: 2 }); caller.unref(); await caller.connect()"],
  [
    'ioredis-6',
    `new (require('ioredis-6').Redis)(options.socket)
     await new Promise((resolve) => caller.once('ready', resolve))
     caller.stream.unref()`,
  ],
  [
    'redis-3',
    `require('redis-3').createClient(options.socket)
     await new Promise((resolve) => caller.once('ready', resolve))
     caller.unref()`,
  ],
]

test.each(callers)('the second connection beside a client of %s never keeps the process alive', async (_, make) => {
  const script = `
    const timer = setTimeout(() => {}, 20_000)
    const caller = ${make}
    caller.on('error', () => {})
    const port = toRedisClient(caller)
    await port.subscribe('c', silent)
    say('subscribed')
    clearTimeout(timer)`
  const child = run(script, redis.port)
  await endsByItself(child)
  expect(child.lines).toEqual(['subscribed'])
})
