/** The text form of held locks, with which another process takes them over. */

import { HIDDEN, LockOptionError } from '../errors.js'
import type { LeaseTerms } from '../lease/lease.js'
import { checkMinReplicas, checkName, checkTtlMs } from '../options.js'

export interface SerializedLock extends Pick<LeaseTerms, 'name' | 'ttlMs' | 'autoExtend' | 'minReplicas'> {
  readonly id: string
  readonly fencingToken: number
}

/** Changed when what is written is not understood by older versions. */
const VERSION = 1

export function serializeLock(terms: LeaseTerms, id: string, fencingToken: number): string {
  const { name, ttlMs, autoExtend, minReplicas = 0 } = terms
  const lock = { name, id, ttlMs, autoExtend, fencingToken, ...(minReplicas > 0 && { minReplicas }) }
  return JSON.stringify({ version: VERSION, locks: [lock] })
}

/** Several serialized locks as one text. */
export function joinSerialized(texts: readonly string[]): string {
  return JSON.stringify({ version: VERSION, locks: texts.flatMap(parseSerialized) })
}

/** @throws LockOptionError when the text is not what `serialize()` made */
export function parseSerialized(text: unknown): SerializedLock[] {
  // The text is as good as the lock itself, so that it is not shown.
  const refuse = (reason: string) => new LockOptionError('serialized', typeof text === 'string' ? HIDDEN : text, reason)
  if (typeof text !== 'string') throw refuse('must be the text that serialize() returned')
  let parsed: { version?: unknown; locks?: unknown }
  try {
    parsed = JSON.parse(text) ?? {}
  } catch {
    throw refuse('must be the text that serialize() returned: it is no JSON')
  }
  if (parsed.version !== VERSION) throw refuse(`must be of version ${VERSION}`)
  if (!Array.isArray(parsed.locks) || parsed.locks.length === 0) throw refuse('must hold at least one lock')
  return parsed.locks.map((lock: Record<string, unknown>) => {
    const { name, id, ttlMs, autoExtend, fencingToken, minReplicas } = lock ?? {}
    if (typeof id !== 'string' || !/^[\w-]{22}\.[0-9a-z]{1,16}$/.test(id)) throw refuse('must have the id of each lock')
    if (typeof autoExtend !== 'boolean' || !Number.isSafeInteger(fencingToken)) throw refuse('must be complete')
    return {
      name: checkName(name),
      id,
      ttlMs: checkTtlMs(ttlMs),
      autoExtend,
      fencingToken: fencingToken as number,
      ...(minReplicas !== undefined && { minReplicas: checkMinReplicas(minReplicas) }),
    }
  })
}
