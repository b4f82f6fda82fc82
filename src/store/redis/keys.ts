/**
 * The one place where names of keys and channels are made.
 *
 * ```text
 * <prefix>{<name>}           hash        the state: holders, summary, last token
 * <prefix>{<name>}:queue     sorted set  waiters by priority and ticket    (made in the scripts from the state key)
 * <prefix>{<name>}:waiters   hash        what each waiter claims           (likewise)
 * <prefix>inbox:<session>    channel     on which one locksmith hears its grants
 * <prefix>{<name>}:inbox:<session>       sharded channel on a Cluster, in the name's slot: likewise, of this name    (likewise)
 * ```
 *
 * The name is the hash tag, so that on a Cluster all of a name is in one slot. A name may be empty or contain braces; it is written
 * so that the tag is never empty and never ends early, and so that no two names share a key.
 */

/** The lock name as it stands between the braces. */
export function encodeName(name: string): string {
  if (name === '') return '%'
  return /[%{}]/.test(name) ? name.replaceAll('%', '%25').replaceAll('{', '%7B').replaceAll('}', '%7D') : name
}

function decodeName(tag: string): string {
  return tag === '%' ? '' : tag.replaceAll('%7D', '}').replaceAll('%7B', '{').replaceAll('%25', '%')
}

/** The keys of one name, and the types of what we keep there. */
export function typesOf(stateKey: string): [key: string, type: string][] {
  return [
    [stateKey, 'hash'],
    [`${stateKey}:queue`, 'zset'],
    [`${stateKey}:waiters`, 'hash'],
  ]
}

export class Keyspace {
  readonly inboxPrefix: string
  private readonly open: string

  constructor(readonly prefix: string) {
    this.inboxPrefix = `${prefix}inbox:`
    this.open = `${prefix}{`
  }

  stateKey(name: string): string {
    return `${this.open}${encodeName(name)}}`
  }

  inbox(session: string): string {
    return this.inboxPrefix + session
  }

  /** On a Cluster: the channel on which a session hears of one name, from the node that has it. */
  shardedInbox(name: string, session: string): string {
    return `${this.stateKey(name)}:inbox:${session}`
  }

  /** The name that a state key belongs to; undefined for any other key. */
  nameOf(key: string): string | undefined {
    if (!key.startsWith(this.open) || !key.endsWith('}')) return undefined
    return decodeName(key.slice(this.open.length, -1))
  }

  /** A pattern for SCAN that finds the state keys of all names that begin with `namePrefix`. */
  pattern(namePrefix: string): string {
    const tag = namePrefix === '' ? '' : encodeName(namePrefix)
    return `${(this.open + tag).replace(/[\\*?[\]]/g, '\\$&')}*}`
  }
}
