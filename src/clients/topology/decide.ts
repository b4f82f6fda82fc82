/** What a list of nodes is, from what each of them says of itself. Pure. */

import { majorityOf } from '../../util/majority.js'
import { ClientError } from '../client.js'
import { isRefusal } from '../library-errors.js'
import type { Asked, NodeReport } from './ask.js'

export type Topology =
  | { readonly kind: 'single' | 'quorum' | 'cluster' }
  /** `strangers`: what is to be said of primaries beside the set, where there are any. */
  | { readonly kind: 'replicas'; readonly strangers: string | undefined }
  /** `watches`: the names of the primaries that they watch. */
  | { readonly kind: 'sentinels'; readonly watches: readonly string[] }

/** Why it is none: for good, for now, or because the nodes refuse us. */
export interface Undecided {
  readonly kind: 'contradiction' | 'unreachable' | 'refused'
  readonly reason: string
}

export function isUndecided(found: Topology | Undecided): found is Undecided {
  return found.kind === 'contradiction' || found.kind === 'unreachable' || found.kind === 'refused'
}

/**
 * What the nodes are, if a majority answered and agrees.
 *
 * - all sentinels, all of a Cluster, or one primary: that
 * - primaries whose data have nothing in common: independent servers
 * - a primary and replicas of its data: one set. Primaries beside them are former ones, as long as the set is a majority of the list
 *
 * @param least how many must have answered; default: a majority
 */
export function decide(nodes: readonly Asked[], least = majorityOf(nodes.length)): Topology | Undecided {
  const answered = nodes.flatMap(({ describe, answer }) => (answer instanceof ClientError ? [] : [{ describe, report: answer }]))
  if (answered.length < least) return tooFew(nodes, least)
  const no = (reason: string): Undecided => ({ kind: 'contradiction', reason: `${reason}: ${nodes.map(show).join('; ')}` })
  for (const [kind, what] of [
    ['sentinel', 'sentinels'],
    ['cluster', 'nodes of a Cluster'],
  ] as const) {
    const some = answered.filter(({ report }) => report.kind === kind)
    if (some.length === 0) continue
    if (some.length < answered.length) return no(`must not name ${what} beside others`)
    if (kind === 'cluster') return { kind }
    return { kind: 'sentinels', watches: [...new Set(some.flatMap(({ report }) => report.watches))] }
  }
  const groups = groupsOf(answered)
  const main = groups.reduce((largest, group) => (group.length > largest.length ? group : largest))
  const isSet = ({ length }: readonly Told[]) => length > 1
  if (!answered.some(isReplica)) {
    if (!groups.some(isSet)) return { kind: nodes.length === 1 ? 'single' : 'quorum' }
    // Nobody can say whether they have parted for good; locks that a majority of strangers grants would be in danger.
    if (groups.length > 1)
      return no('must name independent servers, and some of these were replicas of others before they became primaries')
  }
  if (nodes.length === 1) return no('names a replica alone, and not its primary')
  if (groups.filter((group) => group.some(isReplica)).some((group) => group !== main && group.some(isLinked))) {
    return no('must name one primary and its replicas: these replicate from different ones')
  }
  if (groups.length > 1 && main.length < least) return no('must name either independent servers, or one primary and its replicas')
  const hasPrimary = answered.some(({ report }) => report.kind === 'primary')
  const named = new Set(nodes.map(({ describe }) => describe))
  const missed = answered.every((node) => isLinked(node) || named.has(node.report.follows ?? ''))
  if (!hasPrimary && answered.length === nodes.length && missed) return no('names replicas, and not their primary')
  const strangers = groups.length === 1 ? undefined : no('must name either independent servers, or one primary and its replicas').reason
  return { kind: 'replicas', strangers }
}

/**
 * Which node of a set is the primary: the one that most of the others follow, and of two with as many the one that was promoted later.
 * -1: none that answers. A former primary that nobody follows is not it as long as somebody follows another.
 */
export function primaryOf(nodes: readonly Asked[]): number {
  const reports = nodes.map(({ answer }) => (answer instanceof ClientError ? undefined : answer))
  const votes = new Map<number | string, number>()
  for (const replica of reports) {
    if (replica?.kind !== 'replica') continue
    const followed = nodes.findIndex(({ describe }, i) => describe === replica.follows || sharesData(reports[i], replica))
    const vote = followed === -1 ? (replica.follows ?? '') : followed
    votes.set(vote, (votes.get(vote) ?? 0) + 1)
  }
  const most = Math.max(0, ...votes.values())
  const best = reports.flatMap((report, i) => (report?.kind === 'primary' && (votes.get(i) ?? 0) === most ? [i] : []))
  const isLater = (a: number, b: number) => a === b || reports[a]?.histories[1] === reports[b]?.histories[0]
  return best.find((a) => best.every((b) => isLater(a, b))) ?? -1
}

/** A node and its role, or its error: `10.0.0.1:6379 is a primary`. */
export function show({ describe, answer }: Asked): string {
  if (answer instanceof ClientError) return answer.message.includes(describe) ? answer.message : `${describe}: ${answer.message}`
  const { kind, follows, linkUp, watches } = answer
  switch (kind) {
    case 'primary':
      return `${describe} is a primary`
    case 'replica':
      return `${describe} is a replica of ${follows}${linkUp ? '' : ', which it does not reach'}`
    case 'sentinel':
      return `${describe} is a sentinel${watches.length === 0 ? '' : ` of ${watches.join(', ')}`}`
    case 'cluster':
      return `${describe} is a node of a Cluster`
  }
}

interface Told {
  readonly describe: string
  readonly report: NodeReport
}

const isReplica = ({ report }: Told): boolean => report.kind === 'replica'
const isLinked = ({ report }: Told): boolean => report.kind === 'replica' && report.linkUp

function sharesData(primary: NodeReport | undefined, replica: NodeReport): boolean {
  return primary?.kind === 'primary' && replica.linkUp && primary.histories[0] === replica.histories[0]
}

function tooFew(nodes: readonly Asked[], least: number): Undecided {
  const refusals = nodes.filter(({ answer }) => answer instanceof ClientError && isRefusal(answer))
  const reason = nodes.length === 1 ? '' : `${least} of ${nodes.length} nodes must answer: `
  // As many as are merely away would not do.
  const kind = nodes.length - refusals.length < least ? 'refused' : 'unreachable'
  return { kind, reason: reason + nodes.map(show).join('; ') }
}

/** Nodes whose data have a common history, or of which one follows the other. Addresses may be written in several ways, histories not. */
function groupsOf(nodes: readonly Told[]): Told[][] {
  let groups: { keys: Set<string>; members: Told[] }[] = []
  for (const node of nodes) {
    const { histories, follows } = node.report
    const keys = new Set([...histories, node.describe, ...(follows === undefined ? [] : [follows])])
    const joined = groups.filter((group) => [...keys].some((key) => group.keys.has(key)))
    groups = groups.filter((group) => !joined.includes(group))
    for (const group of joined) for (const key of group.keys) keys.add(key)
    groups.push({ keys, members: [...joined.flatMap(({ members }) => members), node] })
  }
  return groups.map(({ members }) => members)
}
