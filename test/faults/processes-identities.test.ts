import { expect, onTestFinished, test } from 'vitest'
import { listeners, spawnCrew } from '../support/contention.js'
import type { LockWorker } from '../support/lock-worker.js'
import { IN_ORDER } from '../support/mode.mjs'
import { useObserver } from '../support/observer.js'
import { type Message, useWorkers, type Worker } from '../support/processes.js'
import { useRedis } from '../support/redis.js'
import { until } from '../support/until.js'

/** P7: two locksmiths in one process, one in its thread, and one in its child have nothing in common but the server. */

const ROLES = ['one', 'two', 'thread', 'child'] as const
type Role = (typeof ROLES)[number]

const redis = useRedis()
const observer = useObserver(redis)
const spawnWorker = useWorkers()

class Family {
  private lastId = 0
  constructor(
    readonly process: Worker,
    readonly childPid: number,
  ) {}

  async ask(role: Role, method: string, params: object = {}): Promise<any> {
    const { value, error } = await this.answer(this.send(role, method, params))
    if (error) throw new Error(error)
    return value
  }

  /** For a question whose answer comes later. */
  send(role: Role, method: string, params: object): number {
    this.process.send({ type: 'do', role, id: ++this.lastId, method, params })
    return this.lastId
  }

  answer(id: number): Promise<Message> {
    const { messages } = this.process
    const isAnswer = (message: Message) => message.type === 'done' && message.id === id
    return until(() => messages.find(isAnswer), { what: `an answer to question ${id}` })
  }
}

/** The thread and the child are made when the first locksmith is connected and holds a lock of its own. */
async function startFamily(): Promise<Family> {
  const worker = spawnWorker('identities.mjs', { locksmith: { url: redis.url, ttlMs: 1_000, ...IN_ORDER } })
  await worker.next('ready')
  const first = new Family(worker, 0)
  await first.ask('one', 'acquire', { name: 'of one' })
  worker.send({ type: 'multiply' })
  const { childPid } = await worker.next('multiplied')
  const family = new Family(worker, childPid)
  onTestFinished(() => {
    try {
      process.kill(childPid, 'SIGKILL')
    } catch {
      // It is gone already.
    }
  })
  await Promise.all(ROLES.map((role) => family.ask(role, 'tryAcquire', { name: `of ${role}` })))
  return family
}

test('each is somebody else to the server, and none gets what another has', async () => {
  const family = await startFamily()
  const infos = await Promise.all(ROLES.map(async (role) => (await observer.look(`of ${role}`)).held))
  expect(infos.map((held) => held.length)).toEqual([1, 1, 1, 1])
  expect(new Set(infos.map(([info]) => info?.clientId)).size).toBe(ROLES.length)
  const { pid } = family.process
  expect(infos.map(([info]) => info?.pid)).toEqual([pid, pid, pid, family.childPid])
  for (const owner of ROLES) {
    const tokens = await Promise.all(ROLES.map((role) => family.ask(role, 'tryAcquire', { name: `of ${owner}` })))
    expect(tokens, `of ${owner}`).toEqual([null, null, null, null])
  }
})

test('each is woken for its own claim, whichever waits for the same', async () => {
  const family = await startFamily()
  const order: Role[] = ['child', 'two', 'thread', 'one', 'thread', 'two']
  await family.ask('one', 'acquire', { name: 'n' })
  const questions: number[] = []
  for (const [i, role] of order.entries()) {
    questions.push(family.send(role, 'acquire', { name: 'n' }))
    await observer.queued('n', i + 1)
  }
  let last = await observer.heldBy('n', family.process.pid)
  let holder: Role = 'one'
  for (const [i, role] of order.entries()) {
    expect(await family.ask(holder, 'release', { name: 'n' })).toEqual({ released: true })
    const { value } = await family.answer(questions[i]!)
    expect(value.fencingToken).toBeGreaterThan(last.fencingToken ?? Number.NaN)
    const [held] = (await observer.look('n')).held
    expect(held?.fencingToken).toBe(value.fencingToken)
    last = held!
    holder = role
  }
  expect(await family.ask(holder, 'release', { name: 'n' })).toEqual({ released: true })
})

test('one that is closed takes nothing from the others', async () => {
  const family = await startFamily()
  await family.ask('one', 'acquire', { name: 'n' })
  const waiting = (['two', 'thread', 'child', 'thread'] as const).map((role) => family.send(role, 'acquire', { name: 'n' }))
  await observer.queued('n', 4)
  await family.ask('two', 'close')
  expect(await family.answer(waiting[0]!)).toMatchObject({ error: 'LOCK_CLOSED' })
  await observer.queued('n', 3)
  expect(await observer.holders('of two')).toEqual([])
  for (const role of ['one', 'thread', 'child'] as const) expect(await family.ask(role, 'state', { name: `of ${role}` })).toBe('held')
  await family.ask('one', 'close')
  // Closing has released it, and the next one is inside.
  expect(await observer.holders('n')).toHaveLength(1)
  expect(await observer.holders('of child')).toEqual([family.childPid])
})

test('a child lives on without its parent: it keeps what it holds and is woken, and the parent is gone for good', async () => {
  const [other, family] = await Promise.all([spawnCrew(redis, 1).then(([worker]) => worker as LockWorker), startFamily()])
  const { fencingToken } = await other.acquire({ name: 'n', handle: 'n' })
  for (const [i, role] of (['one', 'thread', 'child'] as const).entries()) {
    family.send(role, 'acquire', { name: 'n' })
    await observer.queued('n', i + 1)
  }
  const before = await listeners(redis)
  await family.process.kill()
  // Its three locksmiths listened each for itself: none of their connections lives on in the child.
  await until(async () => (await listeners(redis)) === before - 3, { what: 'the connections of the parent are closed' })
  await other.release('n')
  const granted = await observer.heldBy('n', family.childPid)
  expect(granted.fencingToken).toBeGreaterThan(fencingToken)
  // What the parent held ends with its leases; what the child holds is renewed.
  for (const role of ['one', 'two', 'thread']) await observer.free(`of ${role}`)
  await observer.renewed('of child', family.childPid, 800)
})
