import { expect, test } from 'vitest'
import { ClientError } from '../../src/clients/client.js'
import { GlidePort } from '../../src/clients/glide.js'
import { type GlideClient, glideError } from '../../src/clients/glide-wire.js'
import { FakeClock } from '../../src/testing/index.js'

/** What the port makes of a client that tells it nothing but how its commands end. */

class TimeoutError extends Error {
  override readonly name = 'TimeoutError'
}

class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
}

class RequestError extends Error {
  override readonly name = 'RequestError'
}

interface Sent {
  readonly args: readonly string[]
  resolve(reply: unknown): void
  reject(error: Error): void
}

function setup() {
  const clock = new FakeClock()
  const sent: Sent[] = []
  const fake = {
    isClosed: false,
    customCommand: (args: readonly string[]) => new Promise((resolve, reject) => sent.push({ args, resolve, reject })),
  }
  const port = new GlidePort(fake as unknown as GlideClient, clock)
  const heard: string[] = []
  port.watch({ up: () => heard.push('up'), down: (error) => heard.push(`down: ${error.message}`) })
  const take = (name: string): Sent => {
    const next = sent.shift()
    if (next?.args[0] !== name) throw new Error(`sent was ${next?.args}`)
    return next
  }
  return { clock, fake, port, heard, sent, take }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('of one limit that ran out nothing follows, when the server answers then', async () => {
  const { port, heard, take } = setup()
  const slow = port.command(['GET', 'k'])
  take('GET').reject(new TimeoutError('timed out'))
  await expect(slow).rejects.toMatchObject({ code: 'CONNECTION' })
  expect(port.isUp).toBe(true)
  take('PING').resolve('PONG')
  await turn()
  expect(heard).toEqual([])
})

test('when nothing is answered it is down until something is, and is asked one question at a time', async () => {
  const { clock, port, heard, sent, take } = setup()
  const slow = [port.command(['GET', 'k']), port.command(['GET', 'k'])]
  for (const one of slow) {
    take('GET').reject(new TimeoutError('timed out'))
    await expect(one).rejects.toBeInstanceOf(ClientError)
  }
  const why = "down: no answer within the client's requestTimeout"
  for (const downs of [1, 2, 3]) {
    take('PING').reject(new TimeoutError('timed out'))
    await turn()
    expect(heard).toEqual(Array(downs).fill(why))
    expect(sent).toEqual([])
    await expect(port.command(['GET', 'k'])).rejects.toMatchObject({ code: 'CONNECTION' })
    port.reconnect()
    expect(sent).toEqual([])
    await clock.advance(100)
  }
  take('PING').resolve('PONG')
  await turn()
  expect(heard.at(-1)).toBe('up')
  expect(port.isUp).toBe(true)
})

test('a lost connection has taken all commands along', async () => {
  const { port, heard, take } = setup()
  const lost = port.command(['GET', 'k'])
  take('GET').reject(new ConnectionError('Received connection error'))
  await expect(lost).rejects.toMatchObject({ code: 'CONNECTION' })
  expect(heard).toEqual(['down: Received connection error'])
  take('PING').reject(new RequestError('An error was signalled by the server: - BusyLoadingError: wait'))
  await turn()
  expect(heard.at(-1)).toBe('up')
})

test('who was closed asks no more', async () => {
  const { clock, port, heard, sent, take } = setup()
  const lost = port.command(['GET', 'k'])
  take('GET').reject(new ConnectionError('lost'))
  await expect(lost).rejects.toBeInstanceOf(ClientError)
  take('PING').reject(new TimeoutError('timed out'))
  await turn()
  await port.close()
  await clock.advance(1_000)
  expect(sent).toEqual([])
  expect(heard).toHaveLength(2)
  expect(port.isUp).toBe(false)
})

test('a script is asked for by its hash only when it was sent as a whole, once for every connection', async () => {
  const { port, sent, take } = setup()
  const sha = 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db'
  const unknown = { code: 'REPLY', replyCode: 'NOSCRIPT' }
  await expect(port.command(['EVALSHA', sha, '0'])).rejects.toMatchObject(unknown)
  expect(sent).toEqual([])
  void port.command(['EVAL', 'return 1', '0'])
  take('EVAL').resolve(1)
  const lost = port.command(['EVALSHA', sha, '0'])
  take('EVALSHA').reject(new ConnectionError('lost'))
  await expect(lost).rejects.toMatchObject({ code: 'CONNECTION' })
  take('PING').resolve('PONG')
  await turn()
  await expect(port.command(['EVALSHA', sha, '0'])).rejects.toMatchObject(unknown)
})

test.each([
  ['An error was signalled by the server: - PermissionDenied: no', 'REPLY', 'NOPERM', 'NOPERM no'],
  ['An error was signalled by the server: - SomethingNew: text', 'REPLY', 'ERR', 'SomethingNew text'],
  ['CUSTOM_CODE: a text', 'REPLY', 'CUSTOM_CODE', 'CUSTOM_CODE: a text'],
  ['Standalone connect failed - IoError: Connection refused', 'CONNECTION', '', 'Standalone connect failed - IoError: Connection refused'],
])('%s', (text, code, replyCode, message) => {
  expect(glideError(new RequestError(text))).toMatchObject({ code, replyCode, message })
})
