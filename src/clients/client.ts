/**
 * The port to a Redis client library: all that the Redis store asks of one. Each library has one small file beside this one that
 * implements it; nothing above `clients/` knows a library's types.
 */

/** What a client says of its command connection. */
export interface ConnectionListener {
  /** Commands can be sent (again). */
  up(): void
  /** The connection was lost, or an attempt to connect failed; called once for every failed attempt. */
  down(error: Error): void
}

/** What is heard on a channel. Its functions are called from within the library's parser and must not throw. */
export interface ChannelListener {
  /** A message, as published. */
  message(payload: string): void
  /** The subscription stands again after it had been lost: messages published meanwhile are gone. */
  restored(): void
}

/**
 * How this client's process can be woken by a script: by `PUBLISH`; on a Cluster also by `SPUBLISH`, which one node carries out instead of
 * all; or not at all, in which case waiters poll.
 */
export type WakeKind = 'publish' | 'spublish' | 'none'

/** Something about a caller's client that an operator should know; `code` is stable. */
export interface ClientWarning {
  readonly code: 'KEY_PREFIX' | 'FAILOVER_DETECTOR'
  readonly message: string
}

/** Sends one command to one node. */
export type NodeCommand = (args: readonly string[]) => Promise<unknown>

/** One Redis, or one Cluster, reached through one client library. */
export interface RedisClient {
  /** The library's name, for messages and skips: 'node-redis', 'ioredis', 'legacy', … */
  readonly library: string
  readonly wake: WakeKind
  /** Whether names lie on several nodes, so that a call must not have keys of two names. Absent: false. */
  readonly isCluster?: boolean
  /** Whether another server may be behind the connection when it returns: the primary that is followed. Absent: false. */
  readonly follows?: boolean
  /** Known when the port is made; empty for most. */
  readonly warnings: readonly ClientWarning[]
  /** Whether a command sent now would be written now. False while connecting and while the connection is lost. */
  readonly isUp: boolean
  /**
   * Begins to connect what this port connects itself, if it has not begun. Where connecting is the owner's business, and the owner has
   * not begun or has closed the client, those who watch hear so through `down`. Harmless in every other state.
   */
  connect(): void
  /**
   * Gives up the connections that this port opened, because answers no longer come from them, and makes new ones: unanswered commands
   * reject. A caller's own connection stays as it is.
   *
   * @param key of a Cluster: only the connections to the node that has this key
   */
  reconnect(key?: string): void
  /** The server refused what only a primary does: whoever knows how to find out looks whether another is the primary now. */
  lookAgain?(): void
  /**
   * Sends one command, its name first, and resolves to the raw reply: text, `null`, lists of these, and integers, which come as a number
   * or, where the caller configured the library so, as digits. A list in a list arrives; one in that does not with every library (redis
   * 0.7 mistakes it for the whole).
   *
   * It sets no time limit of its own: the store has one timer for all requests. While the client is not up it rejects at once.
   *
   * @param key the key that says which node of a Cluster is meant; without it any node will do
   * @throws ClientError always of this class, whatever the library throws; it never carries the arguments (they may hold secrets)
   */
  command(args: readonly string[], key?: string): Promise<unknown>
  /** Of a Cluster: its primaries at present, for commands that look at all keys. */
  primaries?(): readonly NodeCommand[] | Promise<readonly NodeCommand[]>
  /**
   * Subscribes to a channel, on the command connection where the library can hear pushes there, else on a second connection that
   * this port opens and owns. Resolves when the server has confirmed. The subscription is renewed by itself after a lost
   * connection. The function that is returned ends it.
   *
   * @throws ClientError when the server refuses, or is not reachable at the first attempt, or where `wake` is `none`
   */
  subscribe(channel: string, listener: ChannelListener): Promise<() => Promise<void>>
  /** Where `wake` is `spublish`: as `subscribe`, to a sharded channel, on the node whose slot the channel's name falls into. */
  subscribeSharded?(channel: string, listener: ChannelListener): Promise<() => Promise<void>>
  /** Registers for the state of the command connection; the function that is returned takes the listener off again. */
  watch(listener: ConnectionListener): () => void
  /**
   * While true, the command connection keeps the process alive, also while it is being made and between two attempts; while false (the
   * default) it never does. Without effect where the connection is a caller's.
   */
  keepProcessAlive(active: boolean): void
  /** Ends subscriptions and closes the connections that this port opened, and no other. Removes every listener it added. */
  close(): Promise<void>
}

/**
 * Why a command failed.
 *
 * - `CONNECTION`: not written, or the connection was lost before the reply came
 * - `REPLY`: the server answered with an error; `replyCode` has its first word (`NOSCRIPT`, `LOADING`, `OOM`, …)
 * - `CLOSED`: the client was closed, by us or by its owner: no command will succeed any more
 */
export type ClientErrorCode = 'CONNECTION' | 'REPLY' | 'CLOSED'

/** A failed command. Its message is the library's own text, never with a command's arguments. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  constructor(
    readonly code: ClientErrorCode,
    message: string,
    /** The first word of the server's error reply, in capitals; empty when there was no reply. */
    readonly replyCode = '',
  ) {
    super(message)
  }
}

/** Makes a {@link ClientError} from a server's error text, such as `NOSCRIPT No matching script.` */
export function replyError(text: string): ClientError {
  // GLIDE puts a colon behind the code, and others' code is always the first word of capitals.
  const code = /^([A-Z][A-Z0-9_]*)\b/.exec(text)?.[1] ?? 'ERR'
  // A server that does not know a command repeats its arguments, and those of HELLO and AUTH are passwords.
  return new ClientError('REPLY', text.replace(/, with args beginning with:.*$/s, ''), code)
}
