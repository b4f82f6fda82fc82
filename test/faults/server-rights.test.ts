import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { everythingIn } from '../support/libraries.js'
import { abortedBefore, endOf, failure, type Lab, type LabLocksmithOptions, useLabs, VIAS, type Via, within } from './lab.js'

/** S11: the server does not know us, or does not let us. It is told at once, with the right that is missing, and without a secret. */

const openLab = useLabs()
const ADMIN = { password: 'secret of the admin' }
const PASSWORD = 's3cret'
const EVERYTHING = ['~*', '&*', '+@all']
/** Long after it must have been told. */
const FOR_EVER = { waitMs: 60_000 }

/** All that the process was told beside the errors. */
const told: unknown[] = []
const note = (what: unknown): void => void told.push(what)
const EVENTS = ['halocksmith:warning', 'halocksmith:unknown', 'halocksmith:lost']

beforeAll(() => {
  for (const event of EVENTS) subscribe(event, note)
  process.on('warning', note)
})

afterAll(() => {
  for (const event of EVENTS) unsubscribe(event, note)
  process.removeListener('warning', note)
  expect(told).not.toEqual([])
  expect(everythingIn(told)).not.toContain(PASSWORD)
})

/** The error that an acquire is told of at once. */
async function refused(lab: Lab, options: LabLocksmithOptions): Promise<Error> {
  const locksmith = await lab.locksmith(options)
  const error = await within(10_000, failure(locksmith.acquire(lab.name, FOR_EVER)))
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', key: lab.name })
  expect(everythingIn(error)).not.toContain(PASSWORD)
  // The next attempt to connect is five seconds away: who comes meanwhile does not wait for it.
  expect(await within(4_000, failure(locksmith.acquire(lab.name, FOR_EVER)))).toMatchObject({ code: 'LOCK_UNAVAILABLE' })
  return error
}

/** How a locksmith, by each way, says who it is. */
async function as(lab: Lab, via: Via, login: { username?: string; password?: string }): Promise<LabLocksmithOptions> {
  if (via === 'our own connection') return { redis: login }
  return { client: await lab.client(via, { waits: false, ...login }) }
}

async function addUser(lab: Lab, ...rights: string[]): Promise<{ username: string; password: string }> {
  await lab.redis.command('ACL', 'SETUSER', 'app', 'reset', 'on', `>${PASSWORD}`, ...rights)
  return { username: 'app', password: PASSWORD }
}

test.concurrent.for(VIAS)('%s: no password, or a wrong one', async (via, context) => {
  const lab = await openLab(context, ADMIN)
  expect((await refused(lab, await as(lab, via, {}))).message).toContain('NOAUTH')
  for (const login of [{ password: PASSWORD }, { username: 'nobody', password: PASSWORD }]) {
    expect((await refused(lab, await as(lab, via, login))).message).toContain('WRONGPASS')
  }
})

test.concurrent('a wrong password in a URL', async (context) => {
  const lab = await openLab(context, ADMIN)
  for (const who of [`:${PASSWORD}`, `nobody:${PASSWORD}`]) {
    const error = await refused(lab, { url: `redis://${who}@127.0.0.1:${lab.proxy.port}` })
    expect(error.message).toContain(`127.0.0.1:${lab.proxy.port}: WRONGPASS`)
  }
})

const MISSING: Record<string, { rights: string[]; names: RegExp }> = {
  'any command of ours': { rights: ['~*', '&*', '+info'], names: /NOPERM.*\bevalsha\b/ },
  evalsha: { rights: [...EVERYTHING, '-evalsha'], names: /NOPERM.*\bevalsha\b/ },
  'eval, with the script not loaded': { rights: [...EVERYTHING, '-eval'], names: /NOPERM.*\beval\b/ },
  'a command that the script calls first': { rights: [...EVERYTHING, '-time'], names: /\btime\b/i },
  'a command that it calls later': { rights: [...EVERYTHING, '-hset'], names: /\bhset\b/i },
  'any key': { rights: ['&*', '+@all'], names: /NOPERM.*~lab\d+:\*/ },
  'our keys': { rights: ['~app:*', '&*', '+@all'], names: /NOPERM.*~lab\d+:\*/ },
}

for (const [what, { rights, names }] of Object.entries(MISSING)) {
  test.concurrent.for(VIAS)(`%s: a user without the right to ${what}`, async (via, context) => {
    const lab = await openLab(context, ADMIN)
    const error = await refused(lab, await as(lab, via, await addUser(lab, ...rights)))
    expect(error.message).toMatch(names)
  })
}

for (const [what, rights, warned] of [
  ['any channel', ['~*', '+@all'], true],
  ['SUBSCRIBE', [...EVERYTHING, '-subscribe'], true],
  ['PUBLISH', [...EVERYTHING, '-publish'], false],
] as const) {
  test.concurrent.for(VIAS)(`%s: without the right to ${what}, locks are waited for all the same`, async (via, context) => {
    const lab = await openLab(context, ADMIN)
    const options = { ...(await as(lab, via, await addUser(lab, ...rights))), ttlMs: 1_000 }
    const locksmith = await lab.locksmith(options)
    const first = await locksmith.acquire(lab.name)
    const waiting = locksmith.acquire(lab.name)
    await lab.diary.seen('waiting')
    expect(await first.release()).toEqual({ released: true })
    const second = await waiting
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken)
    expect(await second.release()).toEqual({ released: true })
    const warnings = told.filter((one) => one instanceof Error && one.message.includes(`&${lab.keys.prefix}*`))
    expect(warnings).toMatchObject(warned ? [{ name: 'HalocksmithWarning', code: 'HALOCKSMITH_NO_CHANNEL_RIGHT' }] : [])
  })
}

test.concurrent.for(VIAS)('%s: a user that is removed while it holds and waits: told, and lost at the deadline', async (via, context) => {
  const lab = await openLab(context, ADMIN)
  const ttlMs = 3_000
  const [locksmith, other] = [
    await lab.locksmith({ ...(await as(lab, via, await addUser(lab, ...EVERYTHING))), ttlMs }),
    await lab.locksmith({ redis: ADMIN }),
  ]
  const lock = await locksmith.acquire(`held ${lab.name}`)
  const { signal } = lock
  const theirs = await other.acquire(lab.name)
  const waiting = failure(locksmith.acquire(lab.name))
  await lab.diary.seen('waiting')
  await lab.redis.command('ACL', 'DELUSER', 'app')
  const deadlineMs = performance.now() + lock.remainingMs
  const error = await within(10_000, waiting)
  expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('WRONGPASS') })
  expect(everythingIn(error)).not.toContain(PASSWORD)
  // A renewal may have been under way when it was removed.
  const reason = await abortedBefore(signal, endOf(deadlineMs, ttlMs) + ttlMs / 2)
  expect(reason).toMatchObject({ code: 'LOCK_LOST' })
  expect(everythingIn(reason)).not.toContain(PASSWORD)
  await theirs.release()
})

test.concurrent('a right that is taken away while a lock is held: unknown with the reason, and held again when it is given back', async (context) => {
  const lab = await openLab(context, ADMIN)
  const locksmith = await lab.locksmith({ redis: await addUser(lab, ...EVERYTHING), ttlMs: 4_000 })
  const lock = await locksmith.acquire(lab.name)
  await lab.redis.command('ACL', 'SETUSER', 'app', '-evalsha')
  const { message } = await lab.diary.seen('unknown')
  expect((message.error as Error).message).toMatch(/NOPERM.*\bevalsha\b/)
  await lab.redis.command('ACL', 'SETUSER', 'app', '+evalsha')
  await lab.diary.seen('held')
  expect(await lock.release()).toEqual({ released: true })
})
