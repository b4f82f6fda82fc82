import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RedisServer } from '../../scripts/redis-server.mjs'
import { createLocksmith, type Locksmith, type LocksmithOptions } from '../../src/index.js'
import { errorOf, eventsOf } from '../support/locksmiths.js'
import { inMode } from '../support/mode.mjs'
import { useWorkers, type Worker } from '../support/processes.js'
import { useReplicaSet } from '../support/replicas.js'
import { until } from '../support/until.js'

/** `failover: 'promote'`: the processes themselves make a replica the primary. */

const servers = useReplicaSet({ replicas: 2 })
const spawn = useWorkers()
const AFTER_MS = 1_000
const open: Locksmith[] = []
afterEach(() => Promise.all(open.splice(0).map((locksmith) => locksmith.close())))

function promoter(options: LocksmithOptions = {}): Locksmith {
  const locksmith = createLocksmith(
    inMode({ nodes: servers.set.addresses, failover: 'promote' as const, failoverAfterMs: AFTER_MS, ...options }),
  )
  open.push(locksmith)
  return locksmith
}

async function rolesOf(nodes: readonly RedisServer[]): Promise<string[]> {
  return Promise.all(nodes.map(async (node) => (await node.command('ROLE'))[0]))
}

/** How often a server carried out REPLICAOF. */
async function replicaofs(server: RedisServer): Promise<number> {
  return Number(/cmdstat_replicaof:calls=(\d+)/.exec(await server.command('INFO', 'commandstats'))?.[1] ?? 0)
}

let before: RedisServer
let others: RedisServer[]
beforeEach(async () => {
  await servers.set.whenLinked()
  before = await servers.set.primary()
  others = servers.set.nodes.filter((node) => node !== before)
  await Promise.all(others.map((node) => node.command('CONFIG', 'RESETSTAT')))
})

const address = ({ port }: RedisServer): string => `127.0.0.1:${port}`

describe('when the primary is gone', () => {
  test('a replica is promoted, the other follows it, what is held stays held; and what comes back becomes a replica', async () => {
    const locksmith = promoter()
    const lock = await locksmith.acquire('k', { ttlMs: 60_000 })
    await servers.set.whenLinked()
    const warnings = await eventsOf('halocksmith:warning', async () => {
      const killedAtMs = performance.now()
      await before.kill()
      const next = await servers.set.whenPromoted(before)
      expect(performance.now() - killedAtMs).toBeGreaterThan(AFTER_MS)
      await servers.set.whenLinked()
      expect((await rolesOf(others)).sort()).toEqual(['master', 'slave'])
      await until(() => lock.state === 'held')
      await before.restart()
      await until(async () => (await before.command('ROLE'))[0] === 'slave')
      await servers.set.whenLinked()
      expect(await servers.set.primary()).toBe(next)
    })
    expect(warnings.map(({ code }) => code)).toEqual(['FAILOVER', 'FAILOVER'])
    expect(warnings[1]?.message).toContain(address(before))
    expect(await lock.release()).toEqual({ released: true })
    const again = await locksmith.acquire('k')
    expect(again.fencingToken).toBeGreaterThan(lock.fencingToken)
    await again.release()
  })

  test('by three processes at once: exactly one is promoted, tokens grow, and it comes to an end', async () => {
    const workers = Array.from({ length: 3 }, () =>
      spawn('cycler.mjs', {
        name: 'k',
        locksmith: { nodes: servers.set.addresses, failover: 'promote', failoverAfterMs: AFTER_MS },
      }),
    )
    const tokens: number[] = []
    for (const worker of workers) worker.onMessage(({ type, token }) => type === 'cycle' && tokens.push(token))
    await Promise.all(workers.map((worker) => worker.next('cycle')))
    await servers.set.whenLinked()
    const last = Math.max(...tokens)
    await before.kill()
    const next = await servers.set.whenPromoted(before)
    await servers.set.whenLinked()
    const cyclesAgain = (worker: Worker) => until(() => worker.messages.some(({ type, token }) => type === 'cycle' && token > last))
    await Promise.all(workers.map(cyclesAgain))
    expect((await rolesOf(others)).sort()).toEqual(['master', 'slave'])
    // One was promoted once, the other told once whom to follow.
    expect(await Promise.all(others.map(replicaofs))).toEqual([1, 1])
    const promotions = workers.flatMap(({ messages }) =>
      messages.filter(({ type, message }) => type === 'warning' && /made the primary/.test(message)),
    )
    expect(promotions).toHaveLength(1)
    expect(promotions[0]?.message).toContain(address(next))
    await before.restart()
    await until(async () => (await before.command('ROLE'))[0] === 'slave')
    await servers.set.whenLinked()
    expect(await servers.set.primary()).toBe(next)
    const [some] = workers
    const seen = some?.messages.length ?? 0
    await until(() => (some?.messages.length ?? 0) > seen + 5)
    // Each process hears its grants in their order; between processes messages may overtake each other.
    for (const { messages } of workers) {
      const own = messages.filter(({ type }) => type === 'cycle').map(({ token }) => token)
      expect(own).toEqual([...own].sort((a, b) => a - b))
    }
    expect(new Set(tokens).size).toBe(tokens.length)
  })

  test('and all nodes follow each other in a circle: one of them is promoted', async () => {
    const locksmith = promoter()
    const lock = await locksmith.acquire('k', { ttlMs: 60_000 })
    await servers.set.whenLinked()
    await before.command('REPLICAOF', '127.0.0.1', (others[0] as RedisServer).port)
    expect(await rolesOf(servers.set.nodes)).toEqual(['slave', 'slave', 'slave'])
    await until(async () => (await rolesOf(servers.set.nodes)).includes('master'), { timeoutMs: 10_000 })
    await servers.set.whenLinked()
    expect(await lock.release()).toEqual({ released: true })
  })

  test('a promotion that was not finished is', async () => {
    await (await promoter().acquire('k')).release()
    await servers.set.whenLinked()
    const [half, left] = others as [RedisServer, RedisServer]
    await before.kill()
    await half.command('REPLICAOF', 'NO', 'ONE')
    await until(async () => (await left.command('ROLE'))[2] === half.port, { timeoutMs: 10_000 })
    await servers.set.whenLinked()
    expect(await servers.set.primary()).toBe(half)
  })
})

describe('nothing is promoted', () => {
  /** Claims are refused for want of a primary, and no replica is told anything, for longer than it would take. */
  async function untouched(...locksmiths: Locksmith[]): Promise<void> {
    const errors = await Promise.all(locksmiths.map((locksmith) => errorOf(locksmith.acquire('k', { waitMs: 2_500 }))))
    expect(errors.map(({ code }) => code)).toEqual(locksmiths.map(() => 'LOCK_UNAVAILABLE'))
    const alive = others.filter((node) => node.alive)
    expect(await Promise.all(alive.map(replicaofs))).toEqual(alive.map(() => 0))
  }

  test('without the option, or before its time', async () => {
    const [without, patient] = [promoter({ failover: 'none', failoverAfterMs: undefined }), promoter({ failoverAfterMs: 60_000 })]
    for (const locksmith of [without, patient]) await (await locksmith.acquire('k')).release()
    await before.kill()
    await untouched(without, patient)
  })

  test('without a majority', async () => {
    const locksmith = promoter()
    await (await locksmith.acquire('k')).release()
    await Promise.all([before.kill(), others[0]?.kill()])
    await untouched(locksmith)
  })

  test('and without a majority the primary is not used any more: others may have promoted another', async () => {
    const locksmith = promoter()
    const lock = await locksmith.acquire('k')
    await Promise.all(others.map((node) => node.kill()))
    await until(() => lock.state === 'unknown', { timeoutMs: 10_000 })
    const error = await errorOf(locksmith.acquire('other', { waitMs: 500 }))
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(error.message).toContain('no majority')
    await others[0]?.restart()
    await others[0]?.command('REPLICAOF', '127.0.0.1', before.port)
    await until(() => lock.state === 'held', { timeoutMs: 10_000 })
    expect(await lock.release()).toEqual({ released: true })
  })

  test('while a replica still reaches the primary', async () => {
    const locksmith = promoter()
    await (await locksmith.acquire('k')).release()
    // It hangs: no replica gives it up before a minute.
    await before.pause()
    await untouched(locksmith)
  })
})

describe('somebody else', () => {
  test('who has a vote keeps others from promoting, until he is gone', async () => {
    await (await promoter().acquire('k')).release()
    await servers.set.whenLinked()
    await Promise.all(others.map((node) => node.command('CONFIG', 'RESETSTAT')))
    const { BareRedis } = await import('../../scripts/bare-redis.mjs')
    const rival = await BareRedis.connect({ port: (others[0] as RedisServer).port })
    await rival.subscribe('__halocksmith:promoter', () => {})
    await before.kill()
    const acquiring = promoter().acquire('k', { waitMs: 30_000 })
    expect(await errorOf(promoter().acquire('k', { waitMs: 2_500 }))).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    expect(await Promise.all(others.map(replicaofs))).toEqual([0, 0])
    rival.close()
    await (await acquiring).release()
    await servers.set.whenPromoted(before)
  })

  test('who promoted one first is followed, and the old primary is made a replica of it', async () => {
    const locksmith = promoter()
    const lock = await locksmith.acquire('k')
    await servers.set.whenLinked()
    const next = others[1] as RedisServer
    await servers.set.promote(next, { leaveAlone: [before] })
    await until(async () => (await before.command('ROLE'))[0] === 'slave')
    await servers.set.whenLinked()
    expect(await servers.set.primary()).toBe(next)
    await until(() => lock.state === 'held')
    expect(await lock.release()).toEqual({ released: true })
  })
})
