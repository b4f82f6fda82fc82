/** What the libraries throw, brought to the one error of the port. They throw errors of many classes, and some bare text. */

import { ClientError, replyError } from './client.js'

/**
 * Makes a {@link ClientError} from whatever a library rejected with. It takes over the text and nothing else: ioredis and the old
 * node_redis hang the command's arguments on their errors.
 *
 * @param otherwise the code for everything that is not the server's reply
 */
export function toClientError(error: unknown, otherwise: 'CONNECTION' | 'CLOSED' = 'CONNECTION'): ClientError {
  if (error instanceof ClientError) return error
  const text = textOf(error).replace(LOGIN_STEP, '')
  return isReply(error, text) ? replyError(text) : new ClientError(otherwise, text)
}

/** What the old node_redis puts before a server's refusal while it connects. */
const LOGIN_STEP = /^(?:Ready check failed|Auth error|Auth failed): /

/** Whether a text is a server's error reply: those begin with a word of capitals. `connect ECONNREFUSED …` and the like do not. */
const REPLY_TEXT = /^[A-Z][A-Z0-9_]+:? /

function isReply(error: unknown, text: string): boolean {
  const name = error instanceof Error ? error.name : ''
  // The old node_redis: "EVALSHA can't be processed. The connection is already closed."
  if (name === 'AbortError') return false
  return name === 'ReplyError' || REPLY_TEXT.test(text)
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.message !== '') return error.message
  // A host with several addresses: Node tries them all and throws an error without a text.
  if (error instanceof AggregateError) return error.errors.map(textOf).join(', ')
  return 'code' in error ? String(error.code) : error.name
}

/** Whether the server refused who we are or what we may do: the same again will be refused again. */
export function isRefusal(error: ClientError): boolean {
  return error.code === 'REPLY' && /^(?:NOAUTH|WRONGPASS|NOPERM)$/.test(error.replyCode)
}
