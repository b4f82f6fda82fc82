/** Which node of a Cluster has which key, and how a command finds its way there. What all ports to a Cluster share. */

import { ClientError, type NodeCommand } from './client.js'
import { toClientError } from './library-errors.js'

export const SLOTS = 16_384

/** One node, reached through some library. */
export interface ClusterNode {
  /** `host:port`, as the Cluster announces it. */
  readonly address: string
  /** Whether a command sent now would be written now. */
  readonly isUp: boolean
  /** Sends a command to this node and no other, and follows no redirection. Rejects with whatever the library throws. */
  send(args: readonly string[]): Promise<unknown>
}

/** What is known of a Cluster at present. */
export interface ClusterMap {
  /** The primary that has a slot. */
  primaryOf(slot: number): ClusterNode | undefined
  /** A node that a redirection names; it may be new, and not up yet. */
  nodeAt(address: string): ClusterNode | Promise<ClusterNode | undefined> | undefined
  primaries(): readonly ClusterNode[]
  /** Has the map made anew, and resolves when that was done or failed; it never rejects. */
  refresh(): Promise<void>
}

/** So many times a command is redirected at most: a slot that moves twice meanwhile is rare, and a circle is a broken Cluster. */
const MOST_HOPS = 5

/**
 * Sends a command to the node that has the key; without a key, to any primary. Redirections are followed: MOVED after the map was made anew,
 * ASK for this once. Everything else is the caller's to judge.
 *
 * @throws ClientError always of this class
 */
export function sendRouted(map: ClusterMap, args: readonly string[], key?: string): Promise<unknown> {
  const node = key === undefined ? map.primaries().find(({ isUp }) => isUp) : map.primaryOf(slotOf(key))
  if (node?.isUp !== true) return Promise.reject(notUp(map, node))
  return node.send(args).catch((error) => redirected(map, args, key, node, toClientError(error)))
}

async function redirected(
  map: ClusterMap,
  args: readonly string[],
  key: string | undefined,
  from: ClusterNode,
  redirection: ClientError,
): Promise<unknown> {
  let error = redirection
  let last = from
  for (let hop = 0; hop < MOST_HOPS; hop++) {
    const { replyCode } = error
    if (replyCode !== 'MOVED' && replyCode !== 'ASK') throw error
    const target = await whereTo(map, error, last, key)
    if (target?.isUp !== true) throw notUp(map, target)
    last = target
    try {
      if (replyCode === 'MOVED') return await target.send(args)
      // Both are written at once, so that nothing comes between them. What it answers says nothing that the command will not say.
      target.send(['ASKING']).catch(() => {})
      return await target.send(args)
    } catch (again) {
      error = toClientError(again)
    }
  }
  throw error
}

/** `MOVED <slot> <host>:<port>`; without a host, it is that of the node which said so. */
async function whereTo(map: ClusterMap, error: ClientError, from: ClusterNode, key?: string): Promise<ClusterNode | undefined> {
  const named = /(\S*):(\d+)$/.exec(error.message)
  const host = named?.[1] || from.address.slice(0, from.address.lastIndexOf(':'))
  const address = `${host}:${named?.[2]}`
  if (error.replyCode === 'MOVED') await map.refresh()
  const node = await map.nodeAt(address)
  // Where the library gives nodes other addresses than they announce, the map knows better.
  return node ?? (key === undefined ? undefined : map.primaryOf(slotOf(key)))
}

function notUp(map: ClusterMap, node: ClusterNode | undefined): ClientError {
  // Another may have its slots by now.
  void map.refresh()
  return new ClientError(
    'CONNECTION',
    node === undefined ? 'no node of the Cluster is known to have the key' : `${node.address}: not connected`,
  )
}

/**
 * Where a channel is heard that is heard everywhere: where it was, while that node is a primary, or on any other.
 *
 * @param isAway whether a node can't be reached, which more than the loss of one connection shows
 */
export function anyHome(map: ClusterMap, present: string | undefined, isAway: (address: string) => boolean): string | undefined {
  const primaries = map.primaries()
  if (present !== undefined && !isAway(present) && primaries.some(({ address }) => address === present)) return present
  const up = primaries.filter(({ isUp, address }) => isUp && !isAway(address))
  return up[Math.floor(Math.random() * up.length)]?.address
}

/** For each primary, what sends commands to it. */
export function commandsTo(map: ClusterMap): NodeCommand[] {
  return map.primaries().map((node) => async (args) => {
    if (!node.isUp) throw notUp(map, node)
    return node.send(args).catch((error) => Promise.reject(toClientError(error)))
  })
}

/** CRC16 (XModem) of the hash tag, or of the whole key. */
export function slotOf(key: string): number {
  const open = key.indexOf('{')
  const close = open === -1 ? -1 : key.indexOf('}', open + 1)
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key
  let crc = 0
  for (const byte of Buffer.from(hashed)) crc = ((crc << 8) & 0xffff) ^ (CRC[((crc >> 8) ^ byte) & 0xff] as number)
  return crc % SLOTS
}

const CRC = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc & 0xffff
})
