/** Who holds and who waits, as people and programs see it. What stands in the server about a claimant was written by anybody: it is checked. */

import { createHash } from 'node:crypto'
import type { ClaimRecord, HolderRecord, WaiterRecord } from '../store/store.js'

export interface LockInfo {
  name: string
  mode: 'exclusive' | 'shared'
  permits: number
  /** All permits there are: 1 for an exclusive claim, null for readers. */
  limit: number | null
  /** The same for all claims of one locksmith. It tells locksmiths apart and opens nothing. */
  clientId: string
  label?: string
  host?: string
  pid?: number
  metadata?: Record<string, string>
  /** Of a holder. */
  fencingToken?: number
  heldMs?: number
  expiresInMs?: number
  /** Of a waiter; position 1 is next. */
  waitingMs?: number
  position?: number
  priority?: number
}

/** What a locksmith writes about itself into each of its claims. */
export interface Claimant {
  readonly label: string | undefined
  readonly host: string
  readonly pid: number
}

/**
 * The text that goes into the server with a claim: `[host, pid, label, metadata]` as JSON, without what is missing at its end. Short on
 * purpose: up to 63 bytes Redis keeps it in half the memory.
 */
export function claimantInfo({ host, pid, label }: Claimant, metadata?: Readonly<Record<string, string>>): string {
  if (metadata !== undefined) return JSON.stringify([host, pid, label ?? null, metadata])
  return JSON.stringify(label === undefined ? [host, pid] : [host, pid, label])
}

export function holderInfo(record: HolderRecord): LockInfo {
  return { ...common(record), fencingToken: record.fencingToken, heldMs: record.ageMs, expiresInMs: record.expiresInMs }
}

export function waiterInfo(record: WaiterRecord): LockInfo {
  return { ...common(record), waitingMs: record.ageMs, position: record.position, priority: record.priority }
}

/** A claim's id begins with its locksmith's secret session, which must not be shown: whoever knows it could speak for the claim. */
export function clientIdOf(id: string): string {
  return createHash('sha256')
    .update(id.slice(0, id.indexOf('.')))
    .digest('base64url')
    .slice(0, 16)
}

function common(record: ClaimRecord): LockInfo {
  const exclusive = record.mode === 'exclusive'
  return {
    name: record.name,
    mode: exclusive ? 'exclusive' : 'shared',
    permits: record.permits,
    limit: exclusive ? 1 : record.limit || null,
    clientId: clientIdOf(record.id),
    ...parseInfo(record.info),
  }
}

function parseInfo(info: string): Pick<LockInfo, 'label' | 'host' | 'pid' | 'metadata'> {
  let parsed: unknown
  try {
    parsed = JSON.parse(info)
  } catch {
    return {}
  }
  if (!Array.isArray(parsed)) return {}
  const [host, pid, label, metadata] = parsed as unknown[]
  return {
    ...(typeof label === 'string' && { label }),
    ...(typeof host === 'string' && { host }),
    ...(typeof pid === 'number' && { pid }),
    ...(isTexts(metadata) && { metadata }),
  }
}

function isTexts(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every((text) => typeof text === 'string')
  )
}
