import { expect, test } from 'vitest'
import type { HeldLock } from '../../src/primitives/held-lock.js'
import { type Lab, useLabs, within } from './lab.js'

/** S8: the server's clock steps. What it wrote down before is then an hour ahead, or an hour behind. */

const openLab = useLabs()
const HOUR_MS = 3_600_000
const TTL_MS = 2_500
/** By how much later than its end a lease may be found to be over: much less than an hour, and than another lease. */
const LATE_MS = 2_000

/** Moves every time in a name's state, as it is written by lua/includes/state.lua and records.lua, by so many ms. */
const SHIFT = `
local key, by = KEYS[1], tonumber(ARGV[1])
local function moved(text, factor) return string.format('%.0f', tonumber(text) + by * (factor or 1)) end
local function each(hash, change)
  local fields = redis.call('HGETALL', hash)
  for i = 1, #fields, 2 do
    local value = change(fields[i], fields[i + 1])
    if value then redis.call('HSET', hash, fields[i], value) end
  end
end
each(key, function(field, value)
  if field == 'ends' or field == 'gone' then return moved(value) end
  if field == 'token' or field == 'ticket' then return moved(value, 1000) end
  local permits, expires, lease, token, info = string.match(value, '^c(%d+) (%d+) (%d+) (%d+) (.*)$')
  if permits and string.find(field, '.', 1, true) then
    return table.concat({ 'c' .. permits, moved(expires), lease, moved(token, 1000), info }, ' ')
  end
  if string.match(value, '^w%d+$') then return 'w' .. moved(string.sub(value, 2)) end
end)
each(key .. ':waiters', function(_, value)
  local head, ticket, seen, since, rest = string.match(value, '^(%a %d+ %d+ %d+ %-?%d+) (%d+) (%d+) (%d+) (.*)$')
  return table.concat({ head, moved(ticket, 1000), moved(seen), moved(since), rest }, ' ')
end)
local queue = redis.call('ZRANGE', key .. ':queue', 0, -1, 'WITHSCORES')
for i = 1, #queue, 2 do
  redis.call('ZREM', key .. ':queue', queue[i])
  redis.call('ZADD', key .. ':queue', queue[i + 1], string.format('%016.0f', tonumber(string.sub(queue[i], 1, 16)) + by * 1000) .. string.sub(queue[i], 17))
end
for _, each_key in ipairs({ key, key .. ':queue', key .. ':waiters' }) do
  local left = redis.call('PTTL', each_key)
  if left > 0 and left + by > 0 then redis.call('PEXPIRE', each_key, string.format('%.0f', left + by)) end
end`

const stepsBack = ({ redis, keys, name }: Lab, byMs = HOUR_MS) => redis.command('EVAL', SHIFT, 1, keys.stateKey(name), byMs)
const stepsForward = (lab: Lab) => stepsBack(lab, -HOUR_MS)

/** A lock that is never renewed nor released, as by a process that has died. */
const abandoned = { ttlMs: TTL_MS, autoExtend: false }

type Take = (lab: Lab) => Promise<HeldLock[]>
const HOLDERS: Record<string, Take> = {
  'a mutex': async (lab) => [await (await lab.locksmith()).acquire(lab.name, abandoned)],
  'all of a semaphore': async (lab) => {
    const semaphore = (await lab.locksmith()).semaphore(lab.name, 2)
    return [await semaphore.acquire(abandoned), await semaphore.acquire(abandoned)]
  },
  readers: async (lab) => {
    const { read } = (await lab.locksmith()).readWriteLock(lab.name)
    return [await read.acquire(abandoned), await read.acquire(abandoned)]
  },
}

for (const [what, take] of Object.entries(HOLDERS)) {
  test.concurrent(`back an hour: ${what} that nobody renews is free after its lease, and tokens grow`, async (context) => {
    const lab = await openLab(context)
    const [locks, next] = [await take(lab), await lab.locksmith()]
    await lab.warmUp(next)
    await stepsBack(lab)
    const lastToken = Number((await lab.state()).token)
    expect(lastToken).toBeGreaterThan((Date.now() + HOUR_MS / 2) * 1_000)
    const lock = await within(TTL_MS + LATE_MS, next.acquire(lab.name))
    expect(lock.fencingToken).toBe(lastToken + 1)
    for (const lost of locks) expect(lost.state).toBe('lost')
    expect(await lock.release()).toEqual({ released: true })
    const semaphore = await next.semaphore(lab.name, 3).acquire()
    expect(semaphore.fencingToken).toBe(lastToken + 2)
  })

  test.concurrent(`back an hour, while somebody waits for ${what}: it enters after the lease`, async (context) => {
    const lab = await openLab(context)
    const [locks, next] = [await take(lab), await lab.locksmith()]
    const waiting = next.acquire(lab.name, { ttlMs: TTL_MS })
    await lab.diary.seen('waiting')
    await stepsBack(lab)
    // Whoever asks first finds out. This one is told that it is busy, and how long the leases last at most.
    expect(await next.tryAcquire(lab.name)).toBeNull()
    const { held } = await next.query({ name: lab.name })
    expect(held).toHaveLength(locks.length)
    for (const { expiresInMs } of held) expect(expiresInMs).toBeLessThanOrEqual(TTL_MS)
    const lock = await within(TTL_MS + LATE_MS, waiting)
    for (const { fencingToken } of locks) expect(lock.fencingToken).toBeGreaterThan(fencingToken)
  })
}

for (const [what, step] of Object.entries({ 'back an hour': stepsBack, 'back a second': (lab: Lab) => stepsBack(lab, 1_000) })) {
  test.concurrent(`${what}: what is renewed stays held, and its release lets the next one in at once`, async (context) => {
    const lab = await openLab(context)
    const locksmith = await lab.locksmith({ ttlMs: 4_000 })
    const semaphore = locksmith.semaphore(lab.name, 2)
    const locks = [await semaphore.acquire(), await semaphore.acquire()]
    const waiting = semaphore.acquire({ ttlMs: 30_000 })
    await lab.diary.seen('waiting')
    await step(lab)
    await lab.proxy.onCommand(lab.carries('R'), 'pass').hit(4)
    for (const lock of locks) expect(lock.state).toBe('held')
    expect(await locks[0]?.release()).toEqual({ released: true })
    const next = await within(LATE_MS, waiting)
    expect(next.fencingToken).toBeGreaterThan(Math.max(...locks.map(({ fencingToken }) => fencingToken)))
    for (const lock of [locks[1], next]) expect(await lock?.release()).toEqual({ released: true })
  })
}

test.concurrent('back an hour: the order of the queue stays, and who comes later goes behind', async (context) => {
  const lab = await openLab(context)
  const [locksmith, later] = [await lab.locksmith(), await lab.locksmith()]
  const held = await locksmith.acquire(lab.name)
  const order: string[] = []
  const enter = (who: string) => async () => void order.push(who)
  const claims = [locksmith.using(lab.name, enter('first')), locksmith.using(lab.name, enter('second'))]
  await lab.diary.seen('waiting', 2)
  await stepsBack(lab)
  claims.push(later.using(lab.name, enter('third')))
  await lab.diary.seen('waiting', 3)
  expect(await held.release()).toEqual({ released: true })
  await Promise.all(claims)
  expect(order).toEqual(['first', 'second', 'third'])
})

test.concurrent('forward an hour: the lease is over at the server, and its holder learns it at the next renewal', async (context) => {
  const lab = await openLab(context)
  const [locksmith, other] = [await lab.locksmith({ ttlMs: 6_000 }), await lab.locksmith()]
  const lock = await locksmith.acquire(lab.name)
  const { signal } = lock
  const deadlineMs = performance.now() + lock.remainingMs
  await stepsForward(lab)
  const next = await other.tryAcquire(lab.name)
  expect(next?.fencingToken).toBeGreaterThan(lock.fencingToken)
  expect((await lab.diary.seen('lost')).atMs).toBeLessThan(deadlineMs - 1_000)
  expect(signal.reason).toMatchObject({ code: 'LOCK_LOST' })
  expect(await lock.release()).toEqual({ released: false, reason: 'lost' })
  expect(await next?.release()).toEqual({ released: true })
})
