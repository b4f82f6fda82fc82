/** The script, with a store's settings written into its text: as arguments they would be sent, and read, with every call. */

import { createHash } from 'node:crypto'
import { batch, setnx } from './scripts.generated.js'

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
  /**
   * What the keys of the version of 2013 begin with, where there may be some: its names stand behind it as they are. Undefined: they are not
   * looked for.
   */
  readonly oldPrefix: string | undefined
  readonly protocol: Protocol
}

/** `setnx`: the locks of 2013 are kept as well, and nobody waits in a queue. */
export type Protocol = 'queue' | 'setnx'

/** Stores with the same settings have the same script. */
export function scriptFor({ inboxPrefix, claimWindowMs, waiterLifeMs, oldPrefix, protocol, voterKey }: ScriptSettings): Script {
  const values = [luaString(inboxPrefix), claimWindowMs, waiterLifeMs, luaStringOrFalse(oldPrefix), luaStringOrFalse(voterKey)]
  const source = `local INBOX, CLAIM_WINDOW, WAITER_LIFE, OLD_PREFIX, VOTER = ${values.join(', ')}\n${protocol === 'setnx' ? setnx : batch}`
  return { source, sha1: createHash('sha1').update(source).digest('hex') }
}

function luaStringOrFalse(text: string | undefined): string {
  return text === undefined ? 'false' : luaString(text)
}

/** Every byte that could mean something to Lua is written as its number. */
function luaString(text: string): string {
  const bytes = Array.from(Buffer.from(text), (byte) => {
    const char = String.fromCharCode(byte)
    return /[\w:.-]/.test(char) ? char : `\\${String(byte).padStart(3, '0')}`
  })
  return `'${bytes.join('')}'`
}
