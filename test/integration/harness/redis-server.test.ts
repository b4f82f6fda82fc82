import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { BareRedis } from '../../../scripts/bare-redis.mjs'
import { processState } from '../../../scripts/processes.mjs'
import { type FoundServer, freePort, type StartOptions, startRedis } from '../../../scripts/redis-server.mjs'
import { useWorkers } from '../../support/processes.js'
import { until } from '../../support/until.js'

const program = inject('redisProgram')
const redis = program as FoundServer
const spawnWorker = useWorkers()

beforeEach(({ skip }) => {
  if (program.path === null) skip(program.reason)
})

async function start(options: StartOptions = {}) {
  const server = await startRedis({ redis, ...options })
  onTestFinished(() => server.stop())
  return server
}

const refused = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('error', () => resolve(true))
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
  })

describe('a server', () => {
  test('answers as soon as it has started, on this machine only, and keeps nothing on disk', async () => {
    const server = await start()
    expect(await server.command('PING')).toBe('PONG')
    expect(await server.command('CONFIG', 'GET', 'bind')).toEqual(['bind', '127.0.0.1'])
    expect(await server.command('CONFIG', 'GET', 'save')).toEqual(['save', ''])
    expect(await server.command('CONFIG', 'GET', 'appendonly')).toEqual(['appendonly', 'no'])
    expect(server).toMatchObject({ host: '127.0.0.1', url: `redis://127.0.0.1:${server.port}`, alive: true })
    expect(server.log()).toContain('Ready to accept connections')
  })

  test('is gone after stop, with its folder and its port', async () => {
    const server = await start()
    const { folder, pid, port } = server
    await server.stop()
    expect(processState(pid)).toBe('gone')
    expect(existsSync(folder)).toBe(false)
    expect(await refused(port)).toBe(true)
    await server.stop()
  })

  test('is gone after stop also when it stands still', async () => {
    const server = await start()
    await server.pause()
    await server.stop()
    expect(processState(server.pid)).toBe('gone')
  })

  test('takes settings and a password', async () => {
    const server = await start({ args: ['--maxmemory', '8mb'], password: 'p w/ä' })
    expect(await server.command('CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', '8388608'])
    expect(server.url).toBe(`redis://:p%20w%2F%C3%A4@127.0.0.1:${server.port}`)
    await expect(BareRedis.connect({ port: server.port, password: 'wrong' })).rejects.toMatchObject({ code: 'WRONGPASS' })
  })

  test("leaves a folder that is the caller's", async () => {
    const folder = mkdtempSync(join(tmpdir(), 'halocksmith-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const server = await start({ folder })
    await server.stop()
    expect(existsSync(join(folder, 'redis.log'))).toBe(true)
  })

  test('stands still and goes on', async () => {
    const server = await start()
    const client = await BareRedis.connect({ port: server.port })
    onTestFinished(() => client.close())
    await server.pause()
    expect(processState(server.pid)).toBe('stopped')
    let answered = false
    const answer = client.command('PING').then(() => (answered = true))
    // Time for the request to arrive, were anybody there: another server answers ten times meanwhile.
    const other = await start()
    for (let i = 0; i < 10; i++) await other.command('PING')
    expect(answered).toBe(false)
    server.resume()
    expect(await answer).toBe(true)
  })
})

describe('a restart', () => {
  test('with its data', async () => {
    const server = await start()
    const { port, pid } = server
    await server.command('SET', 'kept', 'yes', 'PX', 600_000)
    await server.restart({ keepData: true })
    expect(server.port).toBe(port)
    expect(server.pid).not.toBe(pid)
    expect(await server.command('GET', 'kept')).toBe('yes')
    expect(await server.command('PTTL', 'kept')).toBeGreaterThan(0)
  })

  test('without', async () => {
    const server = await start({ args: ['--appendonly', 'yes'] })
    await server.command('SET', 'gone', 'yes')
    await server.restart({ keepData: true })
    expect(await server.command('GET', 'gone')).toBe('yes')
    await server.restart()
    expect(await server.command('KEYS', '*')).toEqual([])
  })

  test('after it was killed', async () => {
    const server = await start()
    await server.kill()
    expect(server.alive).toBe(false)
    await expect(server.command('PING')).rejects.toThrow(/ECONNREFUSED/)
    await server.start()
    expect(await server.command('PING')).toBe('PONG')
  })

  test('with other settings', async () => {
    const server = await start()
    await server.restart({ args: ['--maxmemory-policy', 'allkeys-lru'] })
    expect(await server.command('CONFIG', 'GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'allkeys-lru'])
  })
})

describe('a server that cannot start', () => {
  test('says why, and leaves nothing behind', async () => {
    await expect(start({ args: ['--nonsense', '1'] })).rejects.toThrow(/ended at once:.*nonsense/s)
  })

  test('says when the port is taken', async () => {
    const { port } = await start()
    await expect(start({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })

  test('says when there is no such program', async () => {
    await expect(start({ redis: { ...redis, path: join(tmpdir(), 'no-such-program') } })).rejects.toThrow('no-such-program')
  })
})

test('many at once take different ports', async () => {
  const servers = await Promise.all(Array.from({ length: 5 }, () => start()))
  expect(new Set(servers.map(({ port }) => port)).size).toBe(5)
  expect(new Set(servers.map(({ pid }) => pid)).size).toBe(5)
})

test('a free port is one on which nobody listens, and whose bus port exists', async () => {
  const port = await freePort()
  expect(await refused(port)).toBe(true)
  expect(port).toBeGreaterThan(1_024)
  expect(port + 10_000).toBeLessThan(65_536)
})

describe('no server outlives the process that started it', () => {
  test.each([
    ['ends by itself', (owner: ReturnType<typeof spawnWorker>) => owner.send({ type: 'exit' })],
    ['throws', (owner: ReturnType<typeof spawnWorker>) => owner.send({ type: 'throw' })],
    ['gets SIGTERM', (owner: ReturnType<typeof spawnWorker>) => owner.signal('SIGTERM')],
    ['gets SIGKILL', (owner: ReturnType<typeof spawnWorker>) => owner.signal('SIGKILL')],
  ])('when that %s', async (_, end) => {
    const owner = spawnWorker('server-owner.mjs', { redis })
    const { pid, folder } = await owner.next('started')
    expect(processState(pid)).toBe('running')
    end(owner)
    await owner.exited
    await until(() => processState(pid) === 'gone' && !existsSync(folder), { what: 'server and folder are gone' })
  })

  test('nor does one that stands still', async () => {
    const owner = spawnWorker('server-owner.mjs', { redis })
    const { pid } = await owner.next('started')
    process.kill(pid, 'SIGSTOP')
    await owner.kill()
    await until(() => processState(pid) === 'gone')
  })
})
