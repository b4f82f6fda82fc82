/**
 * The engine contract: what a server of locks does. Implemented by the Redis store and the memory store; the published
 * conformance suite (`halocksmith/testing`) says in tests what this page says in words.
 *
 * All times that cross this border are milliseconds on the monotonic clock of this process; no store hands out a server's time.
 * A lease is counted from *before* the request that granted it was sent, so `validUntilMs` is never later than the true end.
 */

/** What one acquire asks for. The same `id` sent again finds its own grant or its own place, never a second one. */
export interface ClaimRequest {
  readonly name: string
  /** `<session>.<number>`: the session is the identity under which {@link LockStore.listen} was called. No spaces. */
  readonly id: string
  /** `exclusive` wants the name to itself; `counted` wants `permits` of `limit`. */
  readonly mode: 'exclusive' | 'counted'
  /** Permits wanted; 1 when exclusive. */
  readonly permits: number
  /** All permits there are; 0 is no limit (readers). Ignored when exclusive. */
  readonly limit: number
  /** The lease that is asked for. */
  readonly ttlMs: number
  /** Higher goes first; equal goes by arrival. */
  readonly priority: number
  /** What an earlier reply to this id said, which keeps the place in the queue through a restart; 0 the first time. */
  readonly ticket: number
  /** False: one attempt, which leaves nothing behind when the name is busy. */
  readonly queue: boolean
  /** What people see of the claimant; text that the store keeps as it is. May be empty. */
  readonly info: string
  /**
   * A grant must be on so many replicas before it is answered; absent or 0: replicas are not asked. With fewer the store rejects with
   * `refused`, and the caller gives back what it was granted. A store without replicas rejects with {@link OptionFailure}.
   */
  readonly minReplicas?: number | undefined
}

/** The server gave the claim its permits. */
export interface Grant {
  /** Larger at every grant of the same name. */
  readonly fencingToken: number
  /** The moment until which the lease certainly stands. */
  readonly validUntilMs: number
  /** Whether others waited behind it; undefined: not known. Only a hint: it may be out of date when it is read. */
  readonly othersWait?: boolean | undefined
  /**
   * Whether larger tokens are the holder's own under this grant, for others of its process that it hands the lock on to without asking. A
   * counted grant then has {@link SPARE_TOKENS}; an exclusive one has one for each microsecond since the grant, by a clock that may
   * run fast by a hundredth. The last that was used is told at the release, and whoever is granted the name next gets a larger one.
   */
  readonly canHandOn?: boolean | undefined
  /** An exclusive grant has {@link SPARE_TOKENS} too, and no others: there is no clock that all servers follow. */
  readonly spareTokensOnly?: boolean | undefined
}

/** So many tokens behind that of a counted grant are given to nobody else. */
export const SPARE_TOKENS = 15

export type ClaimReply =
  | ({ readonly status: 'granted' } & Grant)
  /**
   * In the queue. `nextEndMs` is when the next lease of a present holder ends: asking again then moves the queue on. `waiters`: how many
   * stand in the queue, this one included; undefined: not known.
   */
  | { readonly status: 'waiting'; readonly ticket: number; readonly nextEndMs: number; readonly waiters?: number | undefined }
  /** `queue` was false and the permits are not there. */
  | { readonly status: 'busy' }
  /** The name is in use with another limit. Nothing was changed. */
  | { readonly status: 'conflict'; readonly limit: number }
  /** This id was withdrawn before; it will never be granted. */
  | { readonly status: 'withdrawn' }

/** A renewal never re-creates what is lost. */
export type RenewReply =
  /** `tokenRefused`: the successor's token may be somebody else's, so that it was not taken over. */
  { readonly status: 'held'; readonly validUntilMs: number; readonly tokenRefused?: boolean } | { readonly status: 'lost' }

/** `absent`: this id holds nothing (any more). */
export type ReleaseReply = { readonly status: 'released' | 'absent' }

export interface ReleaseOptions {
  /** Keep the name taken for this long from now, then let it go by itself; default 0, at once. The id holds nothing from then on. */
  readonly keepMs?: number
  /**
   * Also take the id out of the queue, and refuse it should its request arrive only now: for a claim that was given up and whose
   * reply is not known.
   */
  readonly withdraw?: boolean
  /** The last token that was used under the grant, where the lock was handed on inside the process: see {@link Grant.canHandOn}. */
  readonly fencingToken?: number
}

/** Who holds a lock now, where it was handed on inside the process that it had been granted to. */
export interface Successor {
  readonly fencingToken: number
  readonly info: string
}

/** What a store tells a session without being asked. */
export interface SessionListener {
  /** A waiting claim was granted. The lease is short (a claim window) until it is renewed. */
  granted(id: string, grant: Grant): void
  /** A hint that the claim's state should be asked for again: it may have been freed by force, or its grant came too late to use. */
  changed(id: string): void
  /** A hint to a claim that was alone in the queue: one of another session stands behind or before it now. */
  othersWait(id: string): void
  /** Messages may have been missed, or the server is back: ask again for every claim, renew what is uncertain. */
  restored(): void
  /** The server can't be reached at the moment. `elsewhere`: another may answer in its place, and not know what this one granted. */
  disconnected(error: Error, elsewhere?: boolean): void
  /** Something an operator should know; `code` is stable, each is told once per store. */
  warning(code: string, message: string): void
}

/** A claim as the server has it. */
export interface ClaimRecord {
  readonly name: string
  readonly id: string
  readonly mode: 'exclusive' | 'counted'
  readonly permits: number
  /** 0 is no limit. */
  readonly limit: number
  readonly info: string
  /** How long it has held or waited, by the server's clock. */
  readonly ageMs: number
}

export interface HolderRecord extends ClaimRecord {
  readonly fencingToken: number
  readonly expiresInMs: number
}

export interface WaiterRecord extends ClaimRecord {
  readonly priority: number
  /** 1 is next. */
  readonly position: number
}

/** Which names to look at; neither given: all. */
export interface StoreFilter {
  readonly name?: string
  /** Names that begin with this text. */
  readonly prefix?: string
}

/** An engine. Every method rejects with {@link StoreFailure} and with nothing else, within a bound, whatever the network does. */
export interface LockStore {
  /** How long a pushed grant stands before it must have been renewed; a waiter shows life at least twice in that time. */
  readonly claimWindowMs: number
  /** How often a waiter of this store should ask again although nothing happened. */
  readonly checkEveryMs: number
  /** Whether an answer ever came: until then a wait allows for setting up the connection. */
  readonly hasAnswered: boolean
  /**
   * Begins to deliver what is meant for claims of this session, and resolves when it does (or when it is known that the server can't
   * push: the waiter's regular check is then all there is). The function that is returned ends it.
   */
  listen(session: string, listener: SessionListener): Promise<() => Promise<void>>
  acquire(request: ClaimRequest): Promise<ClaimReply>
  /**
   * Makes the lease last `ttlMs` from now; never shortens it. `holder`: whom the server is to show from now on. `minReplicas`: as for a
   * claim; with fewer it rejects with `unreachable`, because it may be worth asking again.
   */
  renew(name: string, id: string, ttlMs: number, holder?: Successor, minReplicas?: number): Promise<RenewReply>
  /** Frees the permits and grants them to the next in the queue. The same call twice does no harm. */
  release(name: string, id: string, options?: ReleaseOptions): Promise<ReleaseReply>
  query(filter: StoreFilter): Promise<{ held: HolderRecord[]; pending: WaiterRecord[] }>
  /** Takes the name from its holders, whoever they are; they hear `changed`. Resolves to how many there were. */
  forceRelease(name: string): Promise<number>
  close(): Promise<void>
}

/**
 * Why a store could not answer.
 *
 * - `unreachable`: no answer, or one that may be different soon; worth asking again. Whether it was carried out is unknown.
 * - `refused`: the server will go on refusing (rights, password, memory, closed client): asking again helps nobody.
 * - `conflict`: our place is taken by data that is not ours.
 */
export type StoreFailureKind = 'unreachable' | 'refused' | 'conflict'

export class StoreFailure extends Error {
  override readonly name = 'StoreFailure'
  constructor(
    readonly kind: StoreFailureKind,
    message: string,
    cause?: unknown,
    /** The first word of the server's error reply; empty where there was none. */
    readonly replyCode = '',
  ) {
    super(message, { cause })
  }
}

/** What was asked for can't be had from these servers, whenever one asks: the caller is told that the option is wrong, as by `LockOptionError`. */
export class OptionFailure extends StoreFailure {
  constructor(
    readonly option: string,
    readonly value: unknown,
    readonly reason: string,
  ) {
    super('refused', `${option} ${reason}`)
  }
}
