/** What this library uses of a Valkey GLIDE client, and what it makes of its errors. */

import { ClientError, replyError } from './client.js'
import { toClientError } from './library-errors.js'

/** The part of a `GlideClient` or `GlideClusterClient` that is used here. */
export interface GlideClient {
  /** Two fields that GLIDE does not document: whether it was closed, and what it was made with. */
  readonly isClosed?: boolean
  readonly config?: GlideOptions
  /** The pipe to GLIDE's own thread. */
  readonly socket?: { unref?(): unknown }
  readonly constructor: { createClient(options: GlideOptions): Promise<GlideClient> }
  customCommand(args: readonly string[], options?: GlideCommandOptions): Promise<unknown>
  /** Only a Cluster's client has it, and the two for sharded channels. */
  readonly invokeScriptWithRoute?: unknown
  subscribe(channels: readonly string[], timeoutMs: number): Promise<unknown>
  unsubscribe(channels: readonly string[], timeoutMs: number): Promise<unknown>
  ssubscribe(channels: readonly string[], timeoutMs: number): Promise<unknown>
  sunsubscribe(channels: readonly string[], timeoutMs: number): Promise<unknown>
  close(): void
}

/** Options of `createClient`; those that matter here. */
export interface GlideOptions {
  readonly requestTimeout?: number
  readonly [other: string]: unknown
}

export interface GlideCommandOptions {
  readonly decoder?: number
  readonly route?: unknown
}

/** GLIDE has names of its own for some of the server's error codes. */
const CODES: Readonly<Record<string, string>> = {
  Ask: 'ASK',
  BusyLoadingError: 'LOADING',
  ClusterDown: 'CLUSTERDOWN',
  CrossSlot: 'CROSSSLOT',
  ExecAbortError: 'EXECABORT',
  MasterDown: 'MASTERDOWN',
  Moved: 'MOVED',
  NoScriptError: 'NOSCRIPT',
  NotBusy: 'NOTBUSY',
  PermissionDenied: 'NOPERM',
  ReadOnly: 'READONLY',
  ResponseError: 'ERR',
  TryAgain: 'TRYAGAIN',
}
const SIGNALLED = /^An error was signalled by the server: - (\w+): /

/** What GLIDE rejected with, as our error. */
export function glideError(error: unknown): ClientError {
  if (error instanceof ClientError) return error
  const { name, message } = error as Error
  if (name === 'TimeoutError') return new ClientError('CONNECTION', "no answer within the client's requestTimeout")
  const known = SIGNALLED.exec(message)
  if (known === null) return toClientError(error)
  const [prefix, word = ''] = known
  return replyError(`${CODES[word] ?? word} ${message.slice(prefix.length)}`)
}
