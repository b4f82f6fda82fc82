/** Ports for servers and proxies that are away for a while, and must find their place free when they come back. */

/**
 * Ports that no other test file takes: while a proxy refuses, or a server is dead, nobody else may come to listen in its place. Below those
 * that `freePort` gives, and apart by worker.
 */
const FIRST_PORT = 10_000
const PORTS_EACH = 250
const firstPort = FIRST_PORT + (Number(process.env.VITEST_POOL_ID ?? 0) % 8) * PORTS_EACH
let ports = Math.floor(Math.random() * PORTS_EACH)

export async function onOwnPort<T>(use: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await use(firstPort + (ports++ % PORTS_EACH))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === PORTS_EACH) throw error
    }
  }
}
