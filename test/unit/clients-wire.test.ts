import { createRequire } from 'node:module'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { NodeRedisWire, wireOptions } from '../../src/clients/node-redis-wire.js'
import { until } from '../support/until.js'

const require = createRequire(import.meta.url)

/** A server that accepts and says nothing. */
async function silentServer(): Promise<{ server: Server; sockets: Socket[]; port: number }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => {}).resume()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, sockets, port: (server.address() as AddressInfo).port }
}

describe.each(['redis-4', 'redis-5', 'redis-6'])('a wire of %s that is destroyed', (module) => {
  test.each(['while its socket is opened', 'while it waits for an answer'])('%s leaves nothing', async (when) => {
    const { server, sockets, port } = await silentServer()
    const client = require(module).createClient(wireOptions({ host: '127.0.0.1', port }, 1_000))
    const wire = new NodeRedisWire(client, { message: () => {}, lost: () => {}, misplaced: () => {} })
    wire.connect().catch(() => {})
    if (when === 'while it waits for an answer') await until(() => (sockets[0]?.bytesRead ?? 0) > 0)
    wire.destroy()
    await until(() => sockets.length === 1 && sockets[0]?.destroyed, { what: 'the server saw it come and go' })
    wire.destroy()
    expect(client.isOpen).toBe(false)
    server.close()
  })
})
