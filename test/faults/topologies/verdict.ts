/** What must not be, found in the books of a run: of the fenced resource, and of all who were inside. */

import type { Hold, Outcome } from '../../support/contender.js'
import type { Write } from '../../support/fenced-resource.js'
import { checkIntervals, type HistoryRecord } from '../../support/history.js'

export interface Books {
  readonly outcomes: readonly Outcome[]
  readonly writes: readonly Write[]
  /** When all faults were over. */
  readonly healedNs: bigint
  readonly recoverMs: number
  /** Codes of those that a process may give. */
  readonly warnings?: readonly string[]
}

const NS_PER_MS = 1_000_000

/** What holds on every topology, whatever failed; in words, empty when all was well. */
export function wrongAnywhere({ outcomes, writes, healedNs, recoverMs, warnings = [] }: Books): string[] {
  const holds = holdsOf(outcomes)
  return [
    ...sharedTokens([...holds, ...writes]),
    ...staleWrites(writes),
    ...outcomes.flatMap(({ report }) => report.troubles),
    ...outcomes.flatMap(({ proofs }) =>
      proofs.flatMap(({ name, atNs, why }) => {
        if (atNs === undefined) return [`'${name}' could not be had again: ${why}`]
        const tookMs = Number(atNs - healedNs) / NS_PER_MS
        return tookMs > recoverMs ? [`'${name}' was had again only after ${tookMs.toFixed(0)} ms`] : []
      }),
    ),
    ...outcomes.flatMap(({ exitCode, output }) => {
      const printed = withoutWarnings(output, warnings)
      return [
        ...(exitCode === 0 ? [] : [`a process ended ${exitCode === null ? 'not by itself' : `with ${exitCode}`}`]),
        ...(printed === '' ? [] : [`a process printed: ${printed}`]),
      ]
    }),
  ]
}

/** What holds besides where no two holders may be inside at once. */
export function wrongWhereExclusive({ outcomes, writes }: Books): string[] {
  const holds = holdsOf(outcomes)
  return [...checkIntervals(historyOf(holds), Number.POSITIVE_INFINITY).violations, ...refusedInside(holds, writes)]
}

/** Node says once where more could be learned of a warning. */
function withoutWarnings(output: string, codes: readonly string[]): string {
  const isExpected = (line: string) =>
    codes.some((code) => line.includes(`[${code}] HalocksmithWarning`)) || /^\(Use `node --trace-warn/.test(line)
  return output
    .split('\n')
    .filter((line) => !isExpected(line))
    .join('\n')
}

export const holdsOf = (outcomes: readonly Outcome[]): Hold[] => outcomes.flatMap(({ report }) => report.holds)

/** One claim at a time has a token: a holder is a claim of a process, one lock after the other. */
function sharedTokens(uses: readonly Pick<Hold, 'name' | 'holder' | 'fencingToken'>[]): string[] {
  const owners = new Map<string, string>()
  const wrong = new Set<string>()
  for (const { name, holder, fencingToken } of uses) {
    const token = `token ${fencingToken} of '${name}'`
    const owner = owners.get(token) ?? holder
    owners.set(token, owner)
    if (owner !== holder) wrong.add(`${token} is that of ${owner} and of ${holder}`)
  }
  return [...wrong]
}

/** Looked up in the book again: what the resource decided is not taken on trust. */
function staleWrites(writes: readonly Write[]): string[] {
  const last = new Map<string, number>()
  return writes.flatMap(({ name, holder, fencingToken, accepted }) => {
    const largest = last.get(name) ?? 0
    if (!accepted) return []
    last.set(name, Math.max(largest, fencingToken))
    return fencingToken < largest ? [`a stale write of ${holder} to '${name}' was accepted: ${fencingToken} after ${largest}`] : []
  })
}

/** Whoever is inside alone has the largest token: no write of such a holder is refused. */
function refusedInside(holds: readonly Hold[], writes: readonly Write[]): string[] {
  const byToken = new Map(holds.map((hold) => [hold.fencingToken, hold]))
  return writes.flatMap(({ name, holder, fencingToken, atNs, accepted }) => {
    const hold = byToken.get(fencingToken)
    const inside = hold?.name === name && hold.enterNs <= atNs && atNs < hold.leaveNs
    return !accepted && inside ? [`a write of ${holder} to '${name}' with token ${fencingToken} was refused while it was inside`] : []
  })
}

/** Who came too late to be inside at all was not inside. */
function historyOf(holds: readonly Hold[]): HistoryRecord[] {
  return holds
    .filter(({ enterNs, leaveNs }) => leaveNs > enterNs)
    .flatMap(({ enterNs, leaveNs, name, holder, fencingToken }) => {
      const stay = { name, holder, fencingToken, permits: 1, exclusive: true }
      return [
        { kind: 'in', atNs: enterNs, ...stay },
        { kind: 'out', atNs: leaveNs, ...stay },
      ] as const
    })
}
