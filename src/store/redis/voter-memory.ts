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
}

/** Undefined: the server remembers nothing. */
export async function readMemory(server: Server, key: string): Promise<Memory | undefined> {
  const [until, longest] = (await server.command(['HMGET', key, 'until', 'longest'])) as unknown[]
  return until === null || until === undefined ? undefined : { longestMs: integer(longest ?? 0) }
}

/** Remembers that leases may be so long. A server that remembers nothing sits out for `sitOutMs` from now; undefined: that is not said here. */
export async function writeMemory(server: Server, key: string, sitOutMs: number | undefined, longestMs: number): Promise<void> {
  const sitOut = sitOutMs === undefined ? '-' : String(Math.ceil(sitOutMs))
  await server.command(['EVAL', markVoter, '1', key, sitOut, String(Math.ceil(longestMs)), String(REMEMBER_MS)])
}

/** For how long the server has certainly been running; 0 where the user may not ask. */
export async function readUptimeMs(server: Server): Promise<number> {
  const info = String(await server.command(['INFO', 'server']).catch(() => ''))
  return Number(/^uptime_in_seconds:(\d+)/m.exec(info)?.[1] ?? 0) * 1_000
}
