/**
 * Grants that replicas must have before they count: how many, how long the server waits for them, and when such calls are sent.
 *
 * WAIT stops the connection that it is sent on until the replicas have answered, whoever else uses it. So only one is under way at a time:
 * what is asked for meanwhile goes in the next call together, and everything else on the connection stands behind one WAIT at most.
 */

import { StoreFailure } from '../store.js'

export interface Confirmation {
  readonly replicas: number
  /** How long the server may wait for them. */
  readonly withinMs: number
}

/** No connection stands still for longer on the account of one WAIT. */
const LONGEST_WAIT_MS = 1_000
/** Never 0, by which WAIT means for ever. */
const SHORTEST_WAIT_MS = 5

/**
 * What a claim or a renewal of so many ms is confirmed by; undefined: by nobody. A sixth of a lease at most goes into one wait, so that a
 * renewal can be tried several times; in halves and quarters, so that leases of about one length can be confirmed together.
 */
export function confirmationOf(minReplicas: number | undefined, ttlMs: number): Confirmation | undefined {
  if (minReplicas === undefined || minReplicas === 0) return undefined
  let withinMs = LONGEST_WAIT_MS
  // A lease of 1 ms is none: it asks whether another stands.
  if (ttlMs > 1) while (withinMs > ttlMs / 6 && withinMs > SHORTEST_WAIT_MS) withinMs = Math.ceil(withinMs / 2)
  return { replicas: minReplicas, withinMs: Math.max(SHORTEST_WAIT_MS, withinMs) }
}

/** @throws StoreFailure when fewer replicas answered than were asked for */
export function checkConfirmed({ replicas, withinMs }: Confirmation, answered: number | undefined, kind: 'grant' | 'renewal'): void {
  const had = answered || 0
  if (had >= replicas) return
  const count = `only ${had} of the ${replicas} replicas that minReplicas asks for had the ${kind} within ${withinMs} ms`
  // A grant goes back, and is not asked for again; a renewal is tried again until the lease ends.
  throw kind === 'grant' ? new StoreFailure('refused', `${count}; it was given back`) : new StoreFailure('unreachable', count)
}

/** An operation that waits to be sent. */
interface Unsent {
  readonly key: string
  readonly madeAtMs: number
  readonly confirmation: Confirmation | undefined
}

/** On a Cluster a call has keys of one name, and goes to one of several nodes. */
const MOST_ON_CLUSTER = 4

/** Operations that replicas must confirm, until they are sent; and what was sent and is not answered. */
export class ConfirmationQueue<T extends Unsent> {
  private waiting: T[] = []
  private underWay: { operations: readonly T[]; withinMs: number }[] = []

  constructor(
    private readonly batchLimit: number,
    private readonly isCluster: boolean,
  ) {}

  get size(): number {
    return this.waiting.length
  }

  get first(): T | undefined {
    return this.waiting[0]
  }

  /** For how long a connection may stand still for what is under way now. */
  get underWayMs(): number {
    let sumMs = 0
    for (const { withinMs } of this.underWay) sumMs += withinMs
    return sumMs
  }

  /** Whether an operation must stand in here: to be confirmed, or because it is not to overtake what was asked for before it. */
  takes({ key, confirmation }: T): boolean {
    return confirmation !== undefined || (this.waiting.length > 0 && hasKey(this.waiting, key))
  }

  add(operation: T): void {
    this.waiting.push(operation)
  }

  /** What can be sent now, as one call: the oldest, and whatever may be waited for as long. It is under way until `done`. */
  next(): { operations: readonly T[]; confirmation: Confirmation } | undefined {
    const first =
      this.underWay.length < (this.isCluster ? MOST_ON_CLUSTER : 1) ? this.waiting.find((one) => !this.isUnderWay(one)) : undefined
    if (first === undefined) return undefined
    const withinMs = this.waiting.find(({ confirmation, key }) => confirmation && this.fits(key, first))?.confirmation?.withinMs
    const operations: T[] = []
    const later: T[] = []
    for (const one of this.waiting) {
      const together = one.confirmation === undefined ? !hasKey(later, one.key) : one.confirmation.withinMs === withinMs
      const mayJoin = together && this.fits(one.key, first) && operations.length < this.batchLimit
      if (mayJoin) operations.push(one)
      else later.push(one)
    }
    this.waiting = later
    const confirmation = { replicas: Math.max(...operations.map(replicasOf)), withinMs: withinMs ?? SHORTEST_WAIT_MS }
    this.underWay.push({ operations, withinMs: confirmation.withinMs })
    return { operations, confirmation }
  }

  /** They were answered, or given up. */
  done(operations: readonly T[]): void {
    this.underWay = this.underWay.filter((call) => call.operations !== operations)
  }

  /** Those that were made until then will not be sent; default: all. */
  drop(untilMs = Number.POSITIVE_INFINITY): T[] {
    const dropped = this.waiting.filter(({ madeAtMs }) => madeAtMs <= untilMs)
    this.waiting = this.waiting.filter(({ madeAtMs }) => madeAtMs > untilMs)
    return dropped
  }

  private fits(key: string, first: T): boolean {
    return !this.isCluster || key === first.key
  }

  private isUnderWay({ key }: T): boolean {
    return this.underWay.some(({ operations }) => hasKey(operations, key))
  }
}

function hasKey(among: readonly Unsent[], key: string): boolean {
  return among.some((one) => one.key === key)
}

function replicasOf({ confirmation }: Unsent): number {
  return confirmation?.replicas ?? 0
}
