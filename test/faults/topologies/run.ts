/** Processes contend for locks on a topology while, one after the other, its servers fail; then all that happened is looked at. */

import { expect, inject, type TestContext } from 'vitest'
import { type Contended, Contender, type Outcome } from '../../support/contender.js'
import { FencedResource } from '../../support/fenced-resource.js'
import { Random } from '../../support/random.mjs'
import { isTrace, TestRedis } from '../../support/redis.js'
import { eventually } from '../../support/until.js'
import type { Fault, Site, Topology } from './topology.js'
import { holdsOf, wrongAnywhere, wrongWhereExclusive } from './verdict.js'

const PROCESSES = 4
const CLAIMS = 4
/** Two names that are held for a moment, as many times as possible, and one, now and then, for so long that its holders meet the fault. */
const NAMES: readonly Contended[] = [
  { name: 'ledger', holdMs: [1, 20], weight: 10 },
  { name: 'stock', holdMs: [1, 20], weight: 10 },
  { name: 'report', holdMs: [100, 1_500], weight: 1 },
]
/** For so long servers fail: a quick look by default, a minute by `npm run test:faults`. */
const FAULTS_MS = Number(process.env.HALOCKSMITH_FAULTS_SECONDS ?? 12) * 1_000
/** Beside four other files, as in `npm test`, the four processes have a tenth of the machine: what they promise is held to with it to themselves. */
const SHARED = process.env.HALOCKSMITH_FAULTS_SECONDS === undefined ? 3 : 1
/** From one fault to the next, and how long one lasts. */
const CALM_MS = [1_000, 2_000] as const
const FAULT_MS = [1_000, 2_000] as const
/** Beside the faults: to start all, to settle, to look. */
const REST_MS = 90_000
/** Processes that come to an end: they wait, close, and tell. */
const END_MS = 40_000
/** What is taken back in the background is gone by then. */
const CLEAN_MS = 20_000

type Timed = Pick<Topology, 'ttlMs'>

/** What a test of {@link surviveFaults} may take. */
export const RUN_MS = FAULTS_MS + REST_MS

/** Runs a topology, and fails with all that went wrong and the seed by which its faults come again. */
export async function surviveFaults<S extends Site>(topology: Topology<S>, { skip, onTestFinished }: TestContext): Promise<void> {
  const program = inject('redisProgram')
  if (program.path === null) return skip(program.reason)
  const seed = Number(process.env.HALOCKSMITH_FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 32))
  const random = new Random(seed)
  const site = await topology.start()
  onTestFinished(() => site.close())
  const resource = new FencedResource()
  const { warnings } = topology
  const recoverMs = topology.recoverMs * SHARED
  const contenders = await Promise.all(Array.from({ length: PROCESSES }, (_, i) => start(topology, site, seed + i + 1, resource)))
  for (const contender of contenders) contender.go()
  const faults: string[] = []
  // Where the servers themselves don't do as they should, the seed is all the more needed.
  const failed = (cause: Error) => {
    throw new Error(`${topology.name}, HALOCKSMITH_FAULTS_SEED=${seed}: ${faults.join('; ')}: ${cause.message}`, { cause })
  }
  await strikeAll(topology, site, contenders, random, faults).catch(failed)
  await site.settled().catch(failed)
  const healedNs = process.hrtime.bigint()
  // Longer than they may: what comes late is told with the time that it took.
  const outcomes = await Promise.all(contenders.map((contender) => contender.settle(2 * recoverMs, END_MS)))
  const books = { outcomes, writes: resource.writes, healedNs, recoverMs, warnings }
  const wrong = [...wrongAnywhere(books), ...(topology.promises.exclusive ? wrongWhereExclusive(books) : [])]
  const story = `${topology.name}, HALOCKSMITH_FAULTS_SEED=${seed}: ${faults.join('; ')}\n  ${tally(outcomes, resource)}`
  console.info(story)
  expect(wrong.slice(0, 20), `${wrong.length} things are wrong with ${story}`).toEqual([])
  expectContention(outcomes)
  await expectNothingLeft(topology, site)
}

/** Faults one after the other, each kind of them before one comes again. What they are goes into `struck`. */
async function strikeAll<S extends Site>(
  { faults, ttlMs }: Topology<S>,
  site: S,
  contenders: readonly Contender[],
  random: Random,
  struck: string[],
): Promise<void> {
  const all = [...faults, standStill(contenders, ttlMs)]
  const end = performance.now() + FAULTS_MS
  for (let deck: Fault<S>[] = []; performance.now() < end; ) {
    if (deck.length === 0) deck = random.shuffle(all)
    const fault = deck.pop() as Fault<S>
    await pause(random.within(CALM_MS), contenders)
    struck.push(fault.what)
    const over = await fault.strike(site, random)
    await pause(random.within(FAULT_MS), contenders)
    await over()
  }
}

/** No server fails, but a process does: when it goes on its leases are over, and whatever it writes then comes too late. */
function standStill(contenders: readonly Contender[], ttlMs: number): Fault {
  return {
    what: 'a process stands still',
    async strike(_, random) {
      const { process } = random.pick(contenders)
      await process.pause()
      await pause(ttlMs, contenders)
      return () => process.resume()
    },
  }
}

/** @throws Error when a process ends meanwhile */
async function pause(ms: number, contenders: readonly Contender[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), ms)))
  const ended = Promise.race(contenders.map(({ process }) => process.exited.then(() => process)))
  const victim = await Promise.race([over, ended])
  clearTimeout(timer)
  if (victim) throw new Error(`process ${victim.pid} has ended\n${victim.output}`)
}

/** The run says something only if locks were held, waited for and refused while servers failed. */
function expectContention(outcomes: readonly Outcome[]): void {
  for (const { report } of outcomes) expect(report.claims.granted, 'of each process').toBeGreaterThan(10)
  for (const { name } of NAMES) {
    const held = holdsOf(outcomes).filter((hold) => hold.name === name)
    expect(new Set(held.map(({ holder }) => holder)).size, `who held '${name}'`).toBeGreaterThan(PROCESSES)
  }
}

/**
 * Nothing is left of the names but their last tokens, and marks that expire. What nobody could take back, because its server was away, is over
 * with its lease, and goes when the name is used again.
 */
async function expectNothingLeft(topology: Timed, site: Site): Promise<void> {
  const { ownKeys = [] } = site
  await eventually(
    async () => {
      const witness = await start(topology, site, 0, new FencedResource(), 0)
      await witness.settle(END_MS, END_MS)
      for (const server of await site.primaries()) {
        const redis = new TestRedis()
        redis.server = server
        await redis.expectEmpty('', (left) => isTrace(left) || ownKeys.includes(left.key), 0)
      }
    },
    { timeoutMs: CLEAN_MS, everyMs: topology.ttlMs / 2 },
  )
}

function start({ ttlMs }: Timed, { source }: Site, seed: number, resource: FencedResource, claims = CLAIMS): Promise<Contender> {
  return Contender.start({ source, seed, names: NAMES, claims, ttlMs }, resource)
}

function tally(outcomes: readonly Outcome[], { writes }: FencedResource): string {
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0)
  const claims = (['granted', 'busy', 'timedOut', 'unavailable', 'aborted'] as const).map(
    (how) => `${how} ${sum(({ report }) => report.claims[how])}`,
  )
  const refused = writes.filter(({ accepted }) => !accepted).length
  const lost = sum(({ report }) => report.lost)
  return `claims: ${claims.join(', ')}; locks lost ${lost}; writes ${writes.length}, refused as stale ${refused}`
}
