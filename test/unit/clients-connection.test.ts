import { expect, test } from 'vitest'
import { ClientError } from '../../src/clients/client.js'
import { backoff, Connection, type ConnectionOptions, type Wire, type WireEvents } from '../../src/clients/connection.js'
import { FakeClock } from '../../src/testing/fake-clock.js'

/** A wire whose fate the test decides. */
class FakeWire implements Wire {
  readonly sent: string[] = []
  held: boolean | undefined
  destroyed = 0
  accept = (): void => {}
  refuse = (_error: unknown): void => {}
  subscribing: () => Promise<void> = async () => {}

  constructor(readonly events: WireEvents) {}

  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.accept = resolve
      this.refuse = reject
    })
  }

  subscribe(channels: string[]): Promise<void> {
    this.sent.push(`+${channels}`)
    return this.subscribing()
  }

  async unsubscribe(channels: string[]): Promise<void> {
    this.sent.push(`-${channels}`)
  }

  hold(active: boolean): void {
    this.held = active
  }

  destroy(): void {
    this.destroyed++
  }
}

function scene(options: Partial<ConnectionOptions<FakeWire>> = {}) {
  const clock = new FakeClock()
  const wires: FakeWire[] = []
  const told: string[] = []
  const connection = new Connection<FakeWire>({
    makeWire: (events) => {
      wires.push(new FakeWire(events))
      return lastOf(wires)
    },
    describe: 'host:1',
    attemptMs: 2_000,
    clock,
    ...options,
  })
  connection.watch({ up: () => told.push('up'), down: (error) => told.push(`down ${error.message}`) })
  const settled = (): Promise<void> => clock.advance(0)
  return { clock, wires, told, connection, settled, last: () => lastOf(wires) }
}

type Scene = ReturnType<typeof scene>

function lastOf(wires: FakeWire[]): FakeWire {
  const wire = wires.at(-1)
  if (!wire) throw new Error('no wire was made')
  return wire
}

async function open({ connection, last, settled }: Scene): Promise<FakeWire> {
  connection.start()
  await settled()
  last().accept()
  await settled()
  return last()
}

const listener = (heard: string[]) => ({ message: (payload: string) => heard.push(payload), restored: () => heard.push('restored') })

test('nothing is opened before it is asked for, and then once', async () => {
  const { connection, wires, settled, told, last } = scene()
  await settled()
  expect(wires).toHaveLength(0)
  connection.start()
  connection.start()
  const opened = connection.opened()
  await settled()
  expect(wires).toHaveLength(1)
  expect(connection.wire).toBeUndefined()
  last().accept()
  expect(await opened).toBe(last())
  connection.start()
  await settled()
  expect(wires).toHaveLength(1)
  expect(told).toEqual(['up'])
})

test('a good connection that is lost is followed by an attempt at once', async () => {
  const s = scene()
  const wire = await open(s)
  await s.clock.advance(1_000)
  wire.events.lost(new Error('read ECONNRESET'))
  expect(s.connection.wire).toBeUndefined()
  expect(s.told).toEqual(['up', 'down host:1: read ECONNRESET'])
  await s.settled()
  expect(s.wires).toHaveLength(2)
  expect(wire.destroyed).toBe(1)
  s.last().accept()
  await s.settled()
  expect(s.told.at(-1)).toBe('up')
})

test('one that is cut off as soon as it stands backs off', async () => {
  const s = scene({ delayMs: (failures) => failures * 10 })
  const wire = await open(s)
  wire.events.lost('gone')
  await s.settled()
  expect(s.wires).toHaveLength(1)
  await s.clock.advance(10)
  expect(s.wires).toHaveLength(2)
})

test('each failed attempt is told of once, and the next follows after its delay', async () => {
  const delays: number[] = []
  const delayMs = (failures: number): number => {
    delays.push(failures)
    return 10 * failures
  }
  const s = scene({ delayMs })
  s.connection.start()
  for (const failures of [1, 2, 3]) {
    await s.settled()
    s.last().refuse(new Error('connect ECONNREFUSED'))
    await s.settled()
    expect(s.told).toHaveLength(failures)
    await expect(s.connection.opened()).rejects.toThrow('host:1: connect ECONNREFUSED')
    await s.clock.advance(10 * failures - 1)
    expect(s.wires).toHaveLength(failures)
    await s.clock.advance(1)
    expect(s.wires).toHaveLength(failures + 1)
  }
  expect(delays).toEqual([1, 2, 3])
})

test('no delay at all means that someone must ask', async () => {
  const s = scene({ delayMs: () => null })
  s.connection.start()
  await s.settled()
  s.last().refuse(new Error('no'))
  await s.clock.advance(60_000)
  expect(s.wires).toHaveLength(1)
  expect(s.clock.pending).toBe(0)
  s.connection.start()
  await s.settled()
  expect(s.wires).toHaveLength(2)
})

test('the delay grows from 20 ms to a second, with full jitter; a refused password waits longer', () => {
  const error = new ClientError('CONNECTION', 'x')
  const longest = (failures: number): number => Math.max(...Array.from({ length: 2_000 }, () => backoff(failures, error)))
  expect(backoff(0, error)).toBe(0)
  expect(longest(1)).toBeLessThanOrEqual(20)
  expect(longest(3)).toBeGreaterThan(60)
  expect(longest(3)).toBeLessThanOrEqual(80)
  expect(longest(50)).toBeLessThanOrEqual(1_000)
  expect(backoff(1, new ClientError('REPLY', 'x', 'WRONGPASS'))).toBe(5_000)
})

test('an attempt that hangs is given up, and its late success is thrown away', async () => {
  const s = scene({ delayMs: () => 10 })
  const opened = s.connection.opened()
  opened.catch(() => {})
  await s.clock.advance(2_000)
  await expect(opened).rejects.toThrow('host:1: no connection within 2000 ms')
  const [first] = s.wires
  expect(first?.destroyed).toBe(1)
  first?.accept()
  await s.settled()
  expect(s.connection.wire).toBeUndefined()
  expect(s.told).toEqual(['down host:1: no connection within 2000 ms'])
  await s.clock.advance(10)
  s.last().accept()
  await s.settled()
  expect(s.connection.wire).toBe(s.wires[1])
})

test('what an old wire tells is not heard', async () => {
  const s = scene()
  const heard: string[] = []
  const wire = await open(s)
  await s.connection.subscribe('c', listener(heard))
  await s.clock.advance(1_000)
  wire.events.lost('gone')
  await s.settled()
  s.last().accept()
  await s.settled()
  wire.events.lost('gone again')
  expect(s.told).toEqual(['up', 'down host:1: gone', 'up'])
})

test('a wire that could not be made is a failed attempt', async () => {
  const s = scene({
    makeWire: () => {
      throw new Error('Cannot find package')
    },
  })
  await expect(s.connection.opened()).rejects.toMatchObject({ code: 'CONNECTION', message: 'host:1: Cannot find package' })
  s.connection.close()
})

test('a mended cause is not told of, and not mended a second time after it worked', async () => {
  const s = scene({ mend: (error) => error.message.includes('HELLO'), delayMs: () => 10 })
  const opened = s.connection.opened()
  await s.settled()
  s.last().refuse(new Error('ERR unknown command HELLO'))
  await s.settled()
  expect(s.wires).toHaveLength(2)
  s.last().accept()
  expect(await opened).toBe(s.wires[1])
  expect(s.told).toEqual(['up'])
  await s.clock.advance(5_000)
  s.last().events.lost('gone')
  await s.clock.advance(10)
  s.last().refuse(new Error('ERR unknown command HELLO'))
  await s.settled()
  expect(s.told.at(-1)).toContain('HELLO')
})

test('subscriptions are renewed before anybody is told that it is up, and say when they stand', async () => {
  const s = scene()
  const heard: string[] = []
  const wire = await open(s)
  await s.connection.subscribe('a', listener(heard))
  const end = await s.connection.subscribe('b', listener([]))
  await end()
  expect(wire.sent).toEqual(['+a', '+b', '-b'])
  wire.events.message('a', '1')
  wire.events.message('b', 'x')
  await s.clock.advance(1_000)
  wire.events.lost('gone')
  await s.settled()
  const order: string[] = []
  s.connection.watch({ up: () => order.push(`up after ${s.last().sent}`), down: () => {} })
  s.last().accept()
  await s.settled()
  expect(order).toEqual(['up after +a'])
  expect(heard).toEqual(['1', 'restored'])
})

test('a renewal that is refused is tried again while the connection stands', async () => {
  const s = scene()
  const heard: string[] = []
  const wire = await open(s)
  await s.connection.subscribe('a', listener(heard))
  await s.clock.advance(1_000)
  wire.events.lost('gone')
  await s.settled()
  s.last().subscribing = () => Promise.reject(new Error('NOPERM no channel'))
  s.last().accept()
  await s.clock.advance(500)
  expect(heard).toEqual([])
  s.last().subscribing = async () => {}
  await s.clock.advance(1_000)
  expect(heard).toEqual(['restored'])
  expect(s.last().sent).toEqual(['+a', '+a'])
})

test('a refused subscription rejects and is forgotten', async () => {
  const s = scene()
  const wire = await open(s)
  wire.subscribing = () => Promise.reject(new Error('NOPERM this user has no permissions to access one of the channels'))
  await expect(s.connection.subscribe('a', listener([]))).rejects.toMatchObject({ code: 'REPLY', replyCode: 'NOPERM' })
  await s.clock.advance(1_000)
  wire.events.lost('gone')
  await s.settled()
  s.last().accept()
  await s.settled()
  expect(s.last().sent).toEqual([])
})

test('secrets and credentials of URLs are cut out of every text', async () => {
  const s = scene({ secrets: ['s3cret'], delayMs: () => null })
  const opened = s.connection.opened()
  await s.settled()
  s.last().refuse(new Error('bad: redis://user:p%40ss@host:1/0 with s3cret'))
  await expect(opened).rejects.toThrow('bad: redis://***@host:1/0 with ***')
})

test('reconnect() changes an open connection for a new one, and does nothing else', async () => {
  const s = scene()
  s.connection.reconnect()
  await s.settled()
  expect(s.wires).toHaveLength(0)
  const wire = await open(s)
  await s.clock.advance(1_000)
  s.connection.reconnect()
  s.connection.reconnect()
  await s.settled()
  expect(s.wires).toHaveLength(2)
  expect(wire.destroyed).toBe(1)
})

test('redirect() changes an open connection for a new one at once, however short it stood', async () => {
  const at = scene()
  const old = await open(at)
  await at.connection.subscribe('inbox', { message: () => {}, restored: () => at.told.push('restored') })
  at.connection.redirect('it is elsewhere')
  await at.settled()
  expect(at.told).toEqual(['up', 'down it is elsewhere'])
  expect(old.destroyed).toBe(1)
  expect(at.wires).toHaveLength(2)
  at.last().accept()
  await at.settled()
  expect(at.told.slice(2)).toEqual(['up', 'restored'])
})

test('redirect() gives up an attempt under way, and the wait for one; whoever asked meanwhile gets the next', async () => {
  const at = scene({ delayMs: () => 60_000 })
  const opened = at.connection.opened()
  await at.settled()
  const hanging = at.last()
  at.connection.redirect('it is elsewhere')
  await at.settled()
  expect(hanging.destroyed).toBe(1)
  expect(at.wires).toHaveLength(2)
  hanging.accept()
  at.last().accept()
  expect(await opened).toBe(at.last())
  at.last().events.lost('gone')
  await at.settled()
  expect(at.wires).toHaveLength(2)
  at.connection.redirect('it is elsewhere')
  await at.settled()
  expect(at.wires).toHaveLength(3)
})

test('redirect() opens nothing that nobody asked for, and nothing after close()', async () => {
  const at = scene()
  at.connection.redirect('it is elsewhere')
  await at.settled()
  expect(at.wires).toEqual([])
  await open(at)
  at.connection.watch({ up: () => {}, down: () => at.connection.close() })
  at.connection.redirect('it is elsewhere')
  at.connection.redirect('it is elsewhere')
  await at.settled()
  expect(at.wires).toHaveLength(1)
  expect(at.clock.pending).toBe(0)
})

test('the socket keeps the process alive as asked, whenever it is opened', async () => {
  const s = scene()
  s.connection.hold(true)
  const wire = await open(s)
  expect(wire.held).toBe(true)
  s.connection.hold(false)
  expect(wire.held).toBe(false)
  await s.clock.advance(1_000)
  wire.events.lost('gone')
  await s.settled()
  expect(s.last().held).toBe(false)
})

test('close() in every state leaves nothing behind', async () => {
  const idle = scene()
  idle.connection.close()
  await expect(idle.connection.opened()).rejects.toMatchObject({ code: 'CLOSED' })
  expect(idle.wires).toHaveLength(0)

  const connecting = scene()
  const opened = connecting.connection.opened()
  opened.catch(() => {})
  await connecting.settled()
  connecting.connection.close()
  await expect(opened).rejects.toMatchObject({ code: 'CLOSED' })
  connecting.last().accept()
  await connecting.settled()
  expect(connecting.connection.wire).toBeUndefined()
  expect(connecting.last().destroyed).toBeGreaterThan(0)

  const up = scene()
  const wire = await open(up)
  up.connection.close()
  wire.events.lost('gone')
  await up.clock.advance(60_000)
  expect([wire.destroyed, up.wires.length]).toEqual([1, 1])

  const waiting = scene()
  waiting.connection.start()
  await waiting.settled()
  waiting.last().refuse(new Error('no'))
  await waiting.settled()
  waiting.connection.close()
  await waiting.clock.advance(60_000)
  expect(waiting.wires).toHaveLength(1)

  for (const { clock, told } of [idle, connecting, up, waiting]) {
    expect(clock.pending).toBe(0)
    expect(told.filter((text) => text.startsWith('down')).length).toBeLessThanOrEqual(1)
  }
})

test('one that is closed while its wire is still being made destroys it', async () => {
  let finish: (wire: FakeWire) => void = () => {}
  const wire = new FakeWire({ message: () => {}, lost: () => {}, misplaced: () => {} })
  const s = scene({ makeWire: () => new Promise((resolve) => (finish = resolve)) })
  s.connection.start()
  s.connection.close()
  finish(wire)
  await s.settled()
  expect(wire.destroyed).toBe(1)
})
