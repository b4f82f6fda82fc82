import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { freePort } from '../../scripts/redis-server.mjs'
import { until } from '../support/until.js'
import { failure, type Lab, useLabs, VIAS, within } from './lab.js'

/** S6: the server answers, but not now. Each is tried again until the wait or the lease is over, and told by its code. */

const openLab = useLabs()

interface Refusal {
  readonly code: string
  readonly args?: readonly string[]
  begin(lab: Lab): Promise<unknown>
  end(lab: Lab): Promise<unknown>
}

const set = ({ redis }: Lab, name: string, value: string | number) => redis.command('CONFIG', 'SET', name, value)
const becomeReplica = async ({ redis }: Lab) => redis.command('REPLICAOF', '127.0.0.1', await freePort())
const becomePrimary = ({ redis }: Lab) => redis.command('REPLICAOF', 'NO', 'ONE')

const REFUSALS: readonly Refusal[] = [
  {
    code: 'BUSY',
    args: ['--lua-time-limit', '50'],
    async begin({ redis }) {
      const endless = (await redis.connect()).command('EVAL', 'while true do end', 0)
      endless.catch(() => {})
      await until(() => redis.command('PING').then(() => false, String))
    },
    end: ({ redis }) => redis.command('SCRIPT', 'KILL'),
  },
  { code: 'READONLY', begin: becomeReplica, end: becomePrimary },
  { code: 'MASTERDOWN', args: ['--replica-serve-stale-data', 'no'], begin: becomeReplica, end: becomePrimary },
  {
    code: 'NOREPLICAS',
    begin: (lab) => set(lab, 'min-replicas-to-write', 1),
    end: (lab) => set(lab, 'min-replicas-to-write', 0),
  },
  {
    code: 'MISCONF',
    async begin(lab) {
      await set(lab, 'save', '3600 1')
      await set(lab, 'stop-writes-on-bgsave-error', 'yes')
      // Where the file should go there is a folder.
      mkdirSync(join(lab.server.folder, 'dump.rdb'), { recursive: true })
      await lab.redis.command('BGSAVE')
      await lab.eventually(async () => expect(await lab.redis.command('INFO', 'persistence')).toContain('rdb_last_bgsave_status:err'))
    },
    end: (lab) => set(lab, 'stop-writes-on-bgsave-error', 'no'),
  },
]

/** The server says it now. */
const refuses = (lab: Lab, { code }: Refusal) =>
  lab.eventually(async () =>
    expect(await failure(lab.redis.command('EVAL', "return redis.call('SET', 'x', '')", 0))).toMatchObject({
      message: expect.stringContaining(code),
    }),
  )

for (const refusal of REFUSALS) {
  const { code, args } = refusal

  test.concurrent.for(code === 'READONLY' ? VIAS : VIAS.slice(0, 1))(
    `${code}, %s: told by its code, or waited for`,
    async (via, context) => {
      const lab = await openLab(context, { args })
      const locksmith = await lab.locksmith({ via })
      await lab.warmUp(locksmith)
      await refusal.begin(lab)
      await refuses(lab, refusal)
      const patient = locksmith.acquire(lab.name, { waitMs: 15_000 })
      const impatient = failure(locksmith.acquire(lab.name, { waitMs: 1_500 }))
      const once = failure(locksmith.tryAcquire(lab.name))
      for (const error of [await within(5_000, impatient), await within(5_000, once)]) {
        expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
        expect(error.message).toContain(code)
      }
      await refusal.end(lab)
      expect(await (await patient).release()).toEqual({ released: true })
    },
  )

  test.concurrent(`${code} while a lock is held and waited for: it is held again, and released`, async (context) => {
    const lab = await openLab(context, { args })
    const [locksmith, other] = [await lab.locksmith({ ttlMs: 6_000 }), await lab.locksmith({ direct: true })]
    const lock = await locksmith.acquire(lab.name)
    const { signal } = lock
    const waiting = other.acquire(lab.name)
    await lab.diary.seen('waiting')
    await refusal.begin(lab)
    const { message } = await lab.diary.seen('unknown')
    expect((message.error as Error).message).toContain(code)
    await refusal.end(lab)
    await lab.diary.seen('held')
    expect(signal.aborted).toBe(false)
    await refusal.begin(lab)
    const releasing = lock.release()
    await refusal.end(lab)
    expect(await releasing).toEqual({ released: true })
    expect((await waiting).fencingToken).toBeGreaterThan(lock.fencingToken)
  })
}

/** So much data, and a server so slow to read it, that it answers for three seconds with nothing else than that. */
const LOADS_SLOWLY = ['--key-load-delay', '10000', '--loading-process-events-interval-bytes', '1024']
const FILLER = Array.from({ length: 300 }, (_, i) => [`filler ${i}`, 'x'.repeat(1_000)]).flat()

test.concurrent.for(VIAS)('LOADING, %s: told, or waited for; what was held is held again', async (via, context) => {
  const lab = await openLab(context, { args: ['--rdbcompression', 'no'] })
  const locksmith = await lab.locksmith({ via, ttlMs: 20_000 })
  const lock = await locksmith.acquire(`held ${lab.name}`)
  await lab.redis.command('MSET', ...FILLER)
  const restarting = lab.server.restart({ keepData: true, args: LOADS_SLOWLY })
  await until(async () => /LOADING/.test(String(await lab.redis.command('DBSIZE').catch(String))))
  const patient = locksmith.acquire(lab.name, { waitMs: 15_000 })
  const error = await within(5_000, failure(locksmith.acquire(lab.name, { waitMs: 1_500 })))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  // ioredis does not count as connected until the server has loaded.
  if (via !== 'ioredis 6') expect(error.message).toContain('LOADING')
  expect(await (await patient).release()).toEqual({ released: true })
  await restarting
  await lock.extend()
  expect(await lock.release()).toEqual({ released: true })
})

test.concurrent.for(VIAS)('too many clients, %s: told, or waited for', async (via, context) => {
  const lab = await openLab(context, {})
  const locksmith = await lab.locksmith({ via, waits: false, direct: true })
  if (via !== 'our own connection') await lab.warmUp(locksmith)
  // The harness has a connection of its own.
  await set(lab, 'maxclients', 1)
  await lab.redis.killClients()
  const patient = locksmith.acquire(lab.name, { waitMs: 15_000 })
  const error = await within(5_000, failure(locksmith.acquire(lab.name, { waitMs: 1_000 })))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  // ioredis does not tell.
  if (via !== 'ioredis 6') expect(error.message).toContain('max number of clients')
  await set(lab, 'maxclients', 1_000)
  expect(await (await patient).release()).toEqual({ released: true })
})
