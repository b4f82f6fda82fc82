/** What `CLUSTER SLOTS` says: which primary has which slots. */

import { SLOTS } from './cluster-map.js'

/** The address of each slot's primary; undefined where nobody has the slot. */
export type Owners = readonly (string | undefined)[]

/**
 * @param reply of CLUSTER SLOTS: `[from, to, [host, port, …], …replicas]` for each range
 * @param asked the host of the node that answered: one which does not know its own name gives none
 * @returns undefined when it is no such reply
 */
export function ownersIn(reply: unknown, asked: string): Owners | undefined {
  if (!Array.isArray(reply)) return undefined
  const owners = new Array<string | undefined>(SLOTS)
  for (const range of reply) {
    const [from, to, primary] = range as [unknown, unknown, unknown[] | undefined]
    const [host, port] = primary ?? []
    const name = typeof host === 'string' && host !== '' && host !== '?' ? host : asked
    owners.fill(`${name}:${Number(port)}`, Number(from), Number(to) + 1)
  }
  return owners
}

export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'))
}
