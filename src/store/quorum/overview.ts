/** Who holds and who waits, from what several servers say. */

import type { HolderRecord, WaiterRecord } from '../store.js'

interface Overview {
  readonly held: readonly HolderRecord[]
  readonly pending: readonly WaiterRecord[]
}

/** Holds: whom a majority has as a holder. Waits: whom a majority knows otherwise; in the order of the longest queue. */
export function merge(views: readonly Overview[], majority: number): { held: HolderRecord[]; pending: WaiterRecord[] } {
  const holding = new Map<string, HolderRecord[]>()
  const known = new Map<string, number>()
  const waiting = new Map<string, WaiterRecord>()
  for (const { held, pending } of [...views].sort((a, b) => b.pending.length - a.pending.length)) {
    for (const { id } of [...held, ...pending]) known.set(id, (known.get(id) ?? 0) + 1)
    for (const record of held) holding.set(record.id, [...(holding.get(record.id) ?? []), record])
    for (const record of pending) if (!waiting.has(record.id)) waiting.set(record.id, record)
  }
  const isHeld = (id: string) => (holding.get(id)?.length ?? 0) >= majority
  const held = [...holding].filter(([id]) => isHeld(id)).map(([, records]) => latest(records, majority))
  const pending = [...waiting.values()].filter(({ id }) => !isHeld(id) && (known.get(id) ?? 0) >= majority)
  return { held, pending: positioned(pending) }
}

/** What a majority agrees on: the lease lasts so long on so many servers, and the token is the largest. */
function latest(records: readonly HolderRecord[], majority: number): HolderRecord {
  const ends = records.map(({ expiresInMs }) => expiresInMs).sort((a, b) => b - a)
  const fencingToken = Math.max(...records.map((record) => record.fencingToken))
  return { ...(records[0] as HolderRecord), fencingToken, expiresInMs: ends[majority - 1] as number }
}

/** Gaps close: those that hold were taken out. */
function positioned(records: readonly WaiterRecord[]): WaiterRecord[] {
  const positions = new Map<string, number>()
  return records.map((record) => {
    const position = (positions.get(record.name) ?? 0) + 1
    positions.set(record.name, position)
    return { ...record, position }
  })
}
