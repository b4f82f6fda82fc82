// @ts-check
/** A network in which everything takes a while: between a client and servers on the same machine, where it would take none. */
import { connect, createServer } from 'node:net'

/**
 * What arrives is passed on after `delayMs`, each way, and in the order in which it came. It needs a process of its own, or what it does is
 * done at the client's expense. A timer of Node makes of a millisecond some 1.1 to 1.2; a client sees the same of all that it sends.
 *
 * @param {readonly number[]} ports of servers on this machine
 * @param {number} delayMs
 * @returns {Promise<{ urls: string[], close: () => Promise<void> }>} an address for each server, by which it is further away
 */
export async function openNetwork(ports, delayMs) {
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set()
  const listeners = await Promise.all(ports.map((port) => listen(port, delayMs, sockets)))
  return {
    urls: listeners.map((listener) => `redis://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (listener.address()).port}`),
    async close() {
      for (const listener of listeners) listener.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/**
 * @param {number} port
 * @param {number} delayMs
 * @param {Set<import('node:net').Socket>} sockets
 * @returns {Promise<import('node:net').Server>}
 */
function listen(port, delayMs, sockets) {
  const listener = createServer((near) => {
    const far = connect({ port, host: '127.0.0.1', noDelay: true })
    near.setNoDelay(true)
    carry(near, far, delayMs)
    carry(far, near, delayMs)
    for (const socket of [near, far]) sockets.add(socket)
  })
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(0, '127.0.0.1', () => resolve(listener))
  })
}

/**
 * @param {import('node:net').Socket} from
 * @param {import('node:net').Socket} to
 * @param {number} delayMs
 */
function carry(from, to, delayMs) {
  // Timers of the same length go off in the order in which they were set.
  from.on('data', (chunk) => void setTimeout(() => to.write(chunk), delayMs))
  from.on('error', () => {})
  from.on('close', () => to.destroy())
}
