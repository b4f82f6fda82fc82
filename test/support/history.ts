import { readFileSync } from 'node:fs'

/** One line of a witness file: somebody entered or left. Written by `workers/witness.mjs`. */
export interface HistoryRecord {
  readonly kind: 'in' | 'out'
  /** By the monotonic clock that all processes of a machine share. */
  readonly atNs: bigint
  readonly name: string
  /** Who: unique among those who can be inside at once. */
  readonly holder: string
  readonly fencingToken: number
  readonly permits: number
  readonly exclusive: boolean
}

export interface HistoryReport {
  /** How often somebody entered. */
  readonly entries: number
  /** The most permits that were in use at once on one name. */
  readonly maxInside: number
  /** What must not be, in words; empty when all was well. */
  readonly violations: readonly string[]
}

/** The records of a witness file, in the order in which they were written. */
export function readHistory(file: string): HistoryRecord[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => {
    const record = JSON.parse(line)
    return { ...record, atNs: BigInt(record.atNs) }
  })
}

/**
 * Checks what happened, each name by itself: never more than `limit` permits in use at once, nobody beside an exclusive holder, and tokens that
 * grow. Where claims exclude each other they must grow in the order of entry; among those who may be inside together, who enters first
 * says nothing about who was granted first, so there each must only be a new one.
 *
 * @param limit permits; `Infinity` for readers
 * @param endedAtNs when holders that never left were killed, by holder: from then on they are not inside
 */
export function checkIntervals(
  records: readonly HistoryRecord[],
  limit: number,
  endedAtNs: ReadonlyMap<string, bigint> = new Map(),
): HistoryReport {
  const names = new Set(records.map(({ name }) => name))
  const reports = [...names].map((name) =>
    checkName(
      records.filter((record) => record.name === name),
      limit,
      endedAtNs,
    ),
  )
  return {
    entries: reports.reduce((sum, report) => sum + report.entries, 0),
    maxInside: Math.max(0, ...reports.map((report) => report.maxInside)),
    violations: reports.flatMap((report) => report.violations),
  }
}

function checkName(records: readonly HistoryRecord[], limit: number, endedAtNs: ReadonlyMap<string, bigint>): HistoryReport {
  const inside = new Map<string, HistoryRecord>()
  const tokens = new Set<number>()
  const violations: string[] = []
  let entries = 0
  let maxInside = 0
  let lastExclusiveToken = 0
  let largestToken = 0
  for (const record of inOrder(records)) {
    for (const holder of inside.keys()) {
      if ((endedAtNs.get(holder) ?? record.atNs) < record.atNs) inside.delete(holder)
    }
    if (record.kind === 'out') {
      if (inside.get(record.holder)?.fencingToken !== record.fencingToken) violations.push(`left without being inside: ${show(record)}`)
      else inside.delete(record.holder)
      continue
    }
    entries++
    const others = [...inside.values()]
    if (inside.has(record.holder)) violations.push(`entered twice: ${show(record)}`)
    if (others.some((other) => other.exclusive || record.exclusive)) {
      violations.push(`entered beside ${others.map(show).join(' and ')}: ${show(record)}`)
    }
    if (tokens.has(record.fencingToken)) violations.push(`the token was used before: ${show(record)}`)
    const mustExceed = record.exclusive || limit === 1 ? largestToken : lastExclusiveToken
    if (record.fencingToken <= mustExceed) violations.push(`the token is not above ${mustExceed}: ${show(record)}`)
    tokens.add(record.fencingToken)
    largestToken = Math.max(largestToken, record.fencingToken)
    if (record.exclusive) lastExclusiveToken = Math.max(lastExclusiveToken, record.fencingToken)
    inside.set(record.holder, record)
    const permits = [...inside.values()].reduce((sum, holder) => sum + holder.permits, 0)
    maxInside = Math.max(maxInside, permits)
    if (permits > limit) violations.push(`${permits} permits of ${limit} in use: ${show(record)}`)
  }
  return { entries, maxInside, violations }
}

/** By time; who left at the same nanosecond as another entered left first. */
function inOrder(records: readonly HistoryRecord[]): HistoryRecord[] {
  const rank = ({ kind }: HistoryRecord) => (kind === 'out' ? 0 : 1)
  return [...records].sort((a, b) => (a.atNs === b.atNs ? rank(a) - rank(b) : a.atNs < b.atNs ? -1 : 1))
}

const show = (record: HistoryRecord): string => `${record.holder} on '${record.name}' with token ${record.fencingToken} at ${record.atNs}`
