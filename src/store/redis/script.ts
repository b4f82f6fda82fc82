/** The one script, with a store's settings written into its text: as arguments they would be sent, and read, with every call. */

import { createHash } from 'node:crypto'
import { batch } from './scripts.generated.js'

/** What a server runs: the text, and the SHA-1 by which it knows it once it has had the text. */
export interface Script {
  readonly source: string
  readonly sha1: string
}

export interface ScriptSettings {
  /** What the channel of every inbox begins with. */
  readonly inboxPrefix: string
  /** How long a pushed grant stands unconfirmed. */
  readonly claimWindowMs: number
  /** After how long without a sign of life a waiter is dropped. */
  readonly waiterLifeMs: number
  /** On one of several independent servers: the key of what it knows of itself as a voter (`lua/includes/voter.lua`). */
  readonly voterKey?: string | undefined
}

/** Stores with the same settings have the same script. */
export function scriptFor({ inboxPrefix, claimWindowMs, waiterLifeMs, voterKey }: ScriptSettings): Script {
  const values = [luaString(inboxPrefix), claimWindowMs, waiterLifeMs, voterKey === undefined ? 'false' : luaString(voterKey)]
  const settings = `local INBOX, CLAIM_WINDOW, WAITER_LIFE, VOTER = ${values.join(', ')}\n`
  const source = settings + batch
  return { source, sha1: createHash('sha1').update(source).digest('hex') }
}

/** Every byte that could mean something to Lua is written as its number. */
function luaString(text: string): string {
  const bytes = Array.from(Buffer.from(text), (byte) => {
    const char = String.fromCharCode(byte)
    return /[\w:.-]/.test(char) ? char : `\\${String(byte).padStart(3, '0')}`
  })
  return `'${bytes.join('')}'`
}
