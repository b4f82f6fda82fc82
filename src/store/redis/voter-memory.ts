/** What each of several independent servers keeps of itself as a voter: whether it may grant yet, and how long its leases may be. */

import { integer } from './replies.js'
import { markVoter } from './scripts.generated.js'

/** A server without any use by a quorum for this long forgets that it ever voted. */
const REMEMBER_MS = 30 * 24 * 3_600_000

/** What the memory is read and written with. */
interface Server {
  command(args: readonly string[]): Promise<unknown>
}

/** Not a key of any name: those have a brace behind the prefix. */
export function voterKey(prefix: string): string {
  return `${prefix}voter`
}

export interface Memory {
  /** The longest lease that the server may ever have granted. */
  readonly longestMs: number
  /** It was written by a former run of the server: what was granted since may be forgotten. */
  readonly restarted: boolean
}

/** Undefined: the server remembers nothing. */
export async function readMemory(server: Server, key: string): Promise<Memory | undefined> {
  const [mark, info] = await Promise.all([server.command(['HMGET', key, 'until', 'longest', 'run']), readInfo(server, 'server')])
  const [until, longest, run] = mark as unknown[]
  if (until === null || until === undefined) return undefined
  const present = /^run_id:(\w+)/m.exec(info)?.[1]
  return { longestMs: integer(longest ?? 0), restarted: present !== undefined && present !== run }
}

/** Whether a restart of the server forgets nothing: each write is on disk before it is answered. */
export async function keepsEverything(server: Server): Promise<boolean> {
  if (!/^aof_enabled:1/m.test(await readInfo(server, 'persistence'))) return false
  const setting = await server.command(['CONFIG', 'GET', 'appendfsync']).catch(() => '')
  // An array, or a map, as the protocol has it.
  return /\balways\b/.test(JSON.stringify(setting))
}

export interface Remembered {
  readonly longestMs: number
  /** A server that remembers nothing sits out for so long from now; undefined: that is not said here. */
  readonly sitOutMs?: number
  /** What it remembers from a former run counts as nothing. */
  readonly restarted?: boolean
}

/** Remembers that leases may be so long, and when the server may vote. */
export async function writeMemory(server: Server, key: string, { longestMs, sitOutMs, restarted = false }: Remembered): Promise<void> {
  const sitOut = sitOutMs === undefined ? '-' : String(Math.ceil(sitOutMs))
  const given = [sitOut, String(Math.ceil(longestMs)), String(REMEMBER_MS), restarted ? '1' : '0']
  await server.command(['EVAL', markVoter, '1', key, ...given])
}

/** For how long the server has certainly been running; 0 where the user may not ask. */
export async function readUptimeMs(server: Server): Promise<number> {
  return Number(/^uptime_in_seconds:(\d+)/m.exec(await readInfo(server, 'server'))?.[1] ?? 0) * 1_000
}

/** Empty where the user may not ask. */
async function readInfo(server: Server, section: string): Promise<string> {
  return String(await server.command(['INFO', section]).catch(() => ''))
}
