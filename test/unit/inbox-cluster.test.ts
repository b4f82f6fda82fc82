import { beforeEach, describe, expect, test, vi } from 'vitest'
import { type ChannelListener, ClientError, replyError } from '../../src/clients/client.js'
import { Exchange } from '../../src/store/redis/exchange.js'
import { Inbox } from '../../src/store/redis/inbox.js'
import { Keyspace } from '../../src/store/redis/keys.js'
import type { ClaimReply } from '../../src/store/store.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeClient } from '../support/fake-client.js'
import { turn } from '../support/fake-store.js'
import { makeListener } from '../support/session-listener.js'

/** How a session is woken on a Cluster: by PUBLISH at first, and by SPUBLISH of the name's node when it listens there. */

const SESSION = 'AAAAAAAAAAAAAAAAAAAAAA'
const WAITING: ClaimReply = { status: 'waiting', ticket: 1, nextEndMs: 1 }

class ClusterClient extends FakeClient {
  readonly isCluster = true
  override wake = 'spublish' as const
  readonly sharded = new Map<string, ChannelListener>()
  shardedError: unknown

  async subscribeSharded(channel: string, listener: ChannelListener): Promise<() => Promise<void>> {
    if (this.shardedError !== undefined) throw this.shardedError
    this.sharded.set(channel, listener)
    return async () => void this.sharded.delete(channel)
  }
}

let clock: FakeClock
let client: ClusterClient
let inbox: Inbox
const listener = makeListener()

beforeEach(async () => {
  vi.clearAllMocks()
  clock = new FakeClock()
  client = new ClusterClient()
  const exchange = new Exchange(client, clock, { source: 'the text', sha1: 'its-sha1' })
  inbox = new Inbox(client, clock, new Keyspace('p:'), exchange, true, () => {})
  await inbox.open(SESSION, listener)
})

async function waits(name: string, id = `${SESSION}.1`, reply: ClaimReply = WAITING): Promise<void> {
  await inbox.hearNearby({ id, name }, Promise.resolve(reply))
  await turn()
}

test('it can be told from the beginning, by PUBLISH', () => {
  expect([...client.channels.keys()]).toEqual([`p:inbox:${SESSION}`])
  expect(inbox.wakeOf(SESSION, 'n')).toBe('c')
})

test('a pushed grant is a hint: the bound of one node’s clock says nothing of another’s', () => {
  client.channels.get(`p:inbox:${SESSION}`)?.message(`g ${SESSION}.1 7 1000 5000 0`)
  expect(listener.changed).toHaveBeenCalledWith(`${SESSION}.1`)
  expect(listener.granted).not.toHaveBeenCalled()
})

describe('a claim that has to wait', () => {
  test('is asked for again when its session listens nearby, and is woken by SPUBLISH from then on', async () => {
    await waits('a{b')
    expect([...client.sharded.keys()]).toEqual([`p:{a%7Bb}:inbox:${SESSION}`])
    expect(listener.changed).toHaveBeenCalledExactlyOnceWith(`${SESSION}.1`)
    expect(inbox.wakeOf(SESSION, 'a{b')).toBe('s')
    expect(inbox.wakeOf(SESSION, 'other')).toBe('c')
    client.sharded.get(`p:{a%7Bb}:inbox:${SESSION}`)?.message(`c ${SESSION}.2`)
    expect(listener.changed).toHaveBeenLastCalledWith(`${SESSION}.2`)
  })

  test('is asked for again when the subscription was away', async () => {
    await waits('n')
    await waits('n', `${SESSION}.2`)
    client.sharded.get(`p:{n}:inbox:${SESSION}`)?.restored()
    expect(listener.changed).toHaveBeenLastCalledWith(`${SESSION}.2`)
  })

  test.each(['granted', 'busy'])('and one that is %s is none', async (status) => {
    await waits('n', undefined, { status } as ClaimReply)
    expect(client.sharded.size).toBe(0)
  })

  test('is told by PUBLISH where the node is away, and listens at the next attempt', async () => {
    client.shardedError = new ClientError('CONNECTION', 'reset')
    await waits('n')
    expect(inbox.wakeOf(SESSION, 'n')).toBe('c')
    client.shardedError = undefined
    await waits('n')
    expect(inbox.wakeOf(SESSION, 'n')).toBe('s')
  })

  test.each(["ERR unknown command 'SSUBSCRIBE'", 'NOPERM no permissions'])('is told by PUBLISH for good after %s', async (text) => {
    client.shardedError = replyError(text)
    await waits('n')
    client.shardedError = undefined
    await waits('n')
    expect(client.sharded.size).toBe(0)
  })
})

test('of at most a thousand names a session hears nearby, and of none for long that nobody waits for', async () => {
  for (let i = 0; i < 1_001; i++) await waits(`n${i}`)
  expect(client.sharded.size).toBe(1_000)
  expect(inbox.wakeOf(SESSION, 'n1000')).toBe('c')
  await clock.advance(40_000)
  expect(inbox.wakeOf(SESSION, 'n7')).toBe('s')
  await clock.advance(50_000)
  await turn()
  expect([...client.sharded.keys()]).toEqual([`p:{n7}:inbox:${SESSION}`])
  await clock.advance(120_000)
  await turn()
  expect(client.sharded.size).toBe(0)
  expect(clock.pending).toBe(0)
})

test('a session that leaves ends all of it', async () => {
  const leave = await inbox.open(SESSION, listener)
  await waits('n')
  await leave()
  await turn()
  expect([client.channels.size, client.sharded.size]).toEqual([0, 0])
})
