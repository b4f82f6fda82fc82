/** Turns what the scripts reply into the store's terms. Client libraries differ in what they make of a number or a text. */

import type { ClaimRecord, ClaimReply, HolderRecord, ReleaseReply, RenewReply, WaiterRecord } from '../store.js'
import { StoreFailure } from '../store.js'
import { batch } from './scripts.generated.js'

/** A reply to one operation, with what is needed to put it on this process's clock. */
export interface Answer {
  /** The words of a line, or the array that the script returned. */
  readonly fields: readonly unknown[]
  /** Monotonic time before the request was sent. */
  readonly sentAtMs: number
  /** Monotonic time at which the reply was there. */
  readonly receivedAtMs: number
  /** The server's wall time while it worked on the request. */
  readonly serverNowMs: number
  /** How many replicas had it by then, where they were asked. */
  readonly replicas?: number | undefined
}

/** First words of error replies that may be gone when asked again. */
const PASSING = new Set([
  'LOADING',
  'BUSY',
  'MASTERDOWN',
  'READONLY',
  'NOREPLICAS',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'ASK',
  'MISCONF',
  'NOVOTE',
])

/** The second: a script that emptied a key looks for it in a slot that is on its way to another node. */
const PASSING_TEXT = /max number of clients reached|attempted to access a non local key/

/** What a server's error means for whoever asked. `code` is its first word, `text` its words. */
export function serverFailure(code: string, text: string, key?: string): StoreFailure {
  if (code === 'WRONGTYPE') return new StoreFailure('conflict', `${key ?? 'a key'} or a key beside it holds data of another type: ${text}`)
  if (PASSING.has(code) || PASSING_TEXT.test(text)) return new StoreFailure('unreachable', text, undefined, code)
  return new StoreFailure('refused', text + missingRight(text, key), undefined, code)
}

/** Redis 7.0 names neither the keys nor, in a script, the command that a user has no right to. */
function missingRight(text: string, key: string | undefined): string {
  if (/^NOPERM .*\bkeys?\b/.test(text) && key !== undefined) return `; grant the user ~${key.slice(0, key.lastIndexOf('{'))}*`
  if (!/^ERR The user executing the script can't run this command/.test(text)) return ''
  const commands = Array.from(batch.matchAll(/redis\.call\('(\w+)'/g), ([, command]) => `+${command?.toLowerCase()}`)
  return `; grant the user ${[...new Set(commands)].sort().join(' ')}`
}

/** What the script returned for one operation: a line, or an array. */
export type Reply = string | readonly unknown[]

/** The server's time and the replies behind it, in what the script returned for so many operations; undefined when it is no such thing. */
export function repliesIn(returned: unknown, operations: number): { serverNowMs: number; replies: readonly unknown[] } | undefined {
  const replies: unknown = typeof returned === 'string' ? cut(returned, '\n') : returned
  if (!Array.isArray(replies) || replies.length !== operations + 1) return undefined
  const us = asNumber(String(replies[0]))
  return Number.isSafeInteger(us) ? { serverNowMs: Math.floor(us / 1_000), replies } : undefined
}

/** `text.split(separator)`, in half the time for texts of few parts. */
export function cut(text: string, separator: string): string[] {
  const parts: string[] = []
  let from = 0
  for (let to = text.indexOf(separator); to !== -1; to = text.indexOf(separator, from)) {
    parts.push(text.slice(from, to))
    from = to + 1
  }
  parts.push(from === 0 ? text : text.slice(from))
  return parts
}

/** The failure of an operation that failed by itself in its batch, or whose reply is none of ours; undefined when it did not. */
export function failureIn(reply: Reply, key: string): StoreFailure | undefined {
  if (typeof reply === 'string') return undefined
  if (!Array.isArray(reply)) return unexpected(reply)
  if (reply[0] !== -1 && String(reply[0]) !== '-1') return undefined
  const text = String(reply[1])
  return serverFailure(/^-?([A-Z]+)\b/.exec(text)?.[1] ?? 'ERR', text, key)
}

/** What the server rounds down of its time, in scripts that count in milliseconds. */
export const SERVER_ROUNDING_MS = 1

export function claimReply(answer: Answer): ClaimReply {
  const [outcome, second, third, fourth] = answer.fields
  switch (integer(outcome)) {
    case 1: {
      const fencingToken = integer(second)
      const validUntilMs = answer.sentAtMs + integer(third) - SERVER_ROUNDING_MS
      const canHandOn = isOfItsTime(fencingToken, answer.serverNowMs)
      return { status: 'granted', fencingToken, validUntilMs, othersWait: integer(fourth) === 1, canHandOn }
    }
    case 0: {
      const nextEndMs = answer.receivedAtMs + integer(third)
      return { status: 'waiting', ticket: integer(second), nextEndMs, waiters: integer(fourth) }
    }
    case 2:
      return { status: 'busy' }
    case 3:
      return { status: 'conflict', limit: integer(second) }
    case 4:
      return { status: 'withdrawn' }
    case 5:
      throw oldLock(String(second), third)
    default:
      throw unexpected(answer.fields)
  }
}

/** What stands where the version of 2013 has its locks. `reason` is told where such a lock would do: it is none. */
function oldLock(key: string, reason: unknown): StoreFailure {
  const text = {
    text: 'holds a string that is no lock of the version of 2013, whose locks are numbers',
    type: 'holds data of another type, and locks of the version of 2013 are strings',
  }[String(reason)]
  const found =
    "holds a string, as the version of 2013 writes for a lock: one of its processes holds it, or died with it. protocol: 'setnx' shares locks " +
    'with that version; when none of it runs any more, delete the key'
  return new StoreFailure('conflict', `${key} ${text ?? found}`)
}

/** False when the server's clock stepped back behind its last token: then tokens don't follow the time for a while. */
export function isOfItsTime(fencingToken: number, serverNowMs: number): boolean {
  return fencingToken < (serverNowMs + SERVER_ROUNDING_MS) * 1_000
}

export function renewReply(answer: Answer, ttlMs: number): RenewReply {
  const outcome = integer(answer.fields[0])
  if (outcome !== 2 && !yes(answer)) return { status: 'lost' }
  return { status: 'held', validUntilMs: answer.sentAtMs + ttlMs - SERVER_ROUNDING_MS, ...(outcome === 2 && { tokenRefused: true }) }
}

export function releaseReply(answer: Answer): ReleaseReply {
  return { status: yes(answer) ? 'released' : 'absent' }
}

export function count(answer: Answer): number {
  return integer(answer.fields[0])
}

/** Who holds and who waits, from the raw contents of one name's keys. Whoever's lease is over is left out. */
export function inspection(name: string, answer: Answer): { held: HolderRecord[]; pending: WaiterRecord[] } {
  const nowMs = answer.serverNowMs
  const { state, members, waiters } = sections(answer.fields)
  const limit = Number(state.get('limit') ?? 0)
  const held: HolderRecord[] = []
  for (const [id, record] of state) {
    if (!id.includes('.')) continue
    const holder = parseHolder(record, state)
    if (holder === undefined) continue
    const { mode, permits, expires, lease, token, info } = holder
    // The lease never lasts longer than its length from now, whatever the server's clock did: as in the scripts.
    const expiresInMs = Math.min(expires - nowMs, lease)
    // A token is the time of its grant in microseconds, unless the server's clock stepped back.
    if (expiresInMs > 0)
      held.push({ ...claim(name, id, mode, permits, limit, token / 1000, info, nowMs), fencingToken: token, expiresInMs })
  }
  const pending: WaiterRecord[] = []
  for (const member of members) {
    const id = member.slice(member.indexOf(' ') + 1)
    const found = /^([xc]) (\d+) (\d+) \d+ (-?\d+) \d+ \d+ (\d+) \S+ (.*)$/s.exec(waiters.get(id) ?? '')
    if (found === null) continue
    const [, mode, permits, wanted, priority, since, info = ''] = found
    pending.push({
      ...claim(name, id, mode as string, Number(permits), Number(wanted), Number(since), info, nowMs),
      priority: Number(priority),
      position: pending.length + 1,
    })
  }
  return { held, pending }
}

/** A holder as `lua/includes/records.lua` writes it; undefined for the mark of a withdrawn id, and for what is not ours. */
function parseHolder(record: string, state: ReadonlyMap<string, string>) {
  if (record.startsWith('x')) {
    const [expires, lease, token] = ['ends', 'span', 'token'].map((field) => Number(state.get(field))) as [number, number, number]
    return { mode: 'x', permits: 1, expires, lease, token, info: record.slice(1) }
  }
  const found = /^c(\d+) (\d+) (\d+) (\d+) (.*)$/s.exec(record)
  if (found === null) return undefined
  const [permits, expires, lease, token] = found.slice(1, 5).map(Number) as [number, number, number, number]
  return { mode: 'c', permits, expires, lease, token, info: found[5] as string }
}

function claim(
  name: string,
  id: string,
  mode: string,
  permits: number,
  limit: number,
  sinceMs: number,
  info: string,
  nowMs: number,
): ClaimRecord {
  const exclusive = mode === 'x'
  const ageMs = Math.max(0, Math.round(nowMs - sinceMs))
  return { name, id, mode: exclusive ? 'exclusive' : 'counted', permits, limit: exclusive ? 1 : limit, info, ageMs }
}

function yes(answer: Answer): boolean {
  const value = integer(answer.fields[0])
  if (value !== 0 && value !== 1) throw unexpected(answer.fields)
  return value === 1
}

/** A whole number from a number or its text; anything else is not a reply of ours. */
export function integer(value: unknown): number {
  const number = typeof value === 'number' ? value : asNumber(String(value))
  if (!Number.isSafeInteger(number)) throw unexpected(value)
  return number
}

/** NaN for whatever is not written with digits alone, of which Number() takes some. */
function asNumber(text: string): number {
  const isNegative = text.charCodeAt(0) === 45
  const first = isNegative ? 1 : 0
  if (text.length === first) return Number.NaN
  let number = 0
  for (let i = first; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return Number.NaN
    number = number * 10 + digit
  }
  return isNegative ? -number : number
}

/** For whatever the script never returns. */
export function unexpected(value: unknown): StoreFailure {
  return new StoreFailure('refused', `the server's reply is not one of ours: ${JSON.stringify(String(value)).slice(0, 120)}`)
}

/** The three lists of an inspection, one behind the other in a flat reply. */
function sections(fields: readonly unknown[]) {
  const membersAt = 2 + integer(fields[1])
  const waitersAt = membersAt + 1 + integer(fields[membersAt])
  return {
    state: table(fields.slice(2, membersAt)),
    members: fields.slice(membersAt + 1, waitersAt).map(String),
    waiters: table(fields.slice(waitersAt)),
  }
}

function table(flat: readonly unknown[]): Map<string, string> {
  const pairs = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.set(String(flat[i]), String(flat[i + 1]))
  return pairs
}
