// @ts-check
/** The demo from beginning to end, as the person at the terminal sees it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocksmith } from 'halocksmith'
import { Counter } from './counter.mjs'
import { Crew } from './crew.mjs'
import { LEASE_MS, openLockServer } from './lock-server.mjs'
import { roundWithLock, roundWithoutLock } from './rounds.mjs'
import { judge, sum } from './verdict.mjs'

const WORKERS = 4

/** @typedef {(() => Promise<unknown>)[]} Undo what is to be undone at the end, the last first */

/**
 * @param {import('./settings.mjs').Settings} settings
 * @param {import('./screen.mjs').Screen} screen
 * @param {Undo} undo
 * @returns {Promise<boolean>} whether everything was as promised
 * @throws Error when it could not be carried out
 */
export async function demonstrate(settings, screen, undo) {
  const startedAtMs = performance.now()
  const { increments } = settings
  screen.print(`halocksmith: ${WORKERS} workers add to one number in a file, each ${increments} times.`, 'bold')
  screen.print()
  const server = await openLockServer(settings, (line) => screen.print(`  ${line}`), undo)
  screen.print(`Lock server: ${server.what}.`)
  const where = server.processes ? 'processes, each with a connection of its own' : 'in this process, each with a locksmith of its own'
  screen.print(`Workers: ${WORKERS} ${where}.`)
  const stage = { screen, increments, processes: server.processes, ...(await prepare(server, undo)) }

  screen.print()
  screen.print('Round 1, without a lock: read the number, work a moment, write it plus one.', 'bold')
  const loose = await roundWithoutLock(stage)
  screen.print(`  Expected ${loose.expected}, got ${loose.got}: ${lossOf(loose)}`, 'yellow')

  screen.print()
  screen.print(`Round 2, the same while holding the lock, whose lease is ${LEASE_MS / 1_000} s.`, 'bold')
  const round = await roundWithLock(stage)
  screen.print(`  First come, first served: ${round.killing.counts.join(', ')} increments at the time of the kill.`)

  screen.print()
  const checks = judge(round)
  for (const { ok, text } of checks) screen.print(`  ${ok ? 'ok   ' : 'WRONG'}  ${text}`, ok ? 'green' : 'red')
  const isRight = checks.every(({ ok }) => ok)
  const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1)
  const numbers = `expected ${sum(round.planned)}, got ${round.got}`
  screen.print()
  screen.print(`${isRight ? 'All as promised' : 'NOT as promised'}: ${numbers}, in ${seconds} s.`, isRight ? 'bold' : 'red')
  return isRight
}

/**
 * @param {import('./lock-server.mjs').LockServer} server
 * @param {Undo} undo
 */
async function prepare(server, undo) {
  // Both at once, so that nothing can come between; and removed at the very end, however that comes.
  const folder = mkdtempSync(join(tmpdir(), 'halocksmith-demo-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  const observer = createLocksmith({ ...server.options, name: 'demo' })
  undo.push(() => observer.close())
  const crew = new Crew({ size: WORKERS, folder, server })
  undo.push(() => crew.dismiss())
  await crew.ready()
  return { observer, crew, counter: new Counter(folder) }
}

/** @param {{ expected: number, got: number }} result */
function lossOf({ expected, got }) {
  return got < expected ? `${expected - got} increments were lost.` : 'by luck, nothing was lost this time.'
}
