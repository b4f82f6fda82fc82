import { describe, expect, test } from 'vitest'
import { ClientError, replyError } from '../../src/clients/client.js'
import { checkConfirmed, confirmationOf } from '../../src/store/redis/confirmation.js'
import { Exchange } from '../../src/store/redis/exchange.js'
import type { Answer } from '../../src/store/redis/replies.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeClient } from '../support/fake-client.js'
import { turn } from '../support/fake-store.js'

describe('how long the server may wait for replicas', () => {
  test.each([
    [60_000, 1_000],
    [6_000, 1_000],
    [5_999, 500],
    [3_000, 500],
    [600, 63],
    [20, 5],
    [2, 5],
    [1, 1_000],
  ])('a lease of %i ms: %i ms', (ttlMs, withinMs) => {
    expect(confirmationOf(2, ttlMs)).toEqual({ replicas: 2, withinMs })
  })

  test('whoever asks for none waits for none', () => {
    expect(confirmationOf(0, 1_000)).toBeUndefined()
    expect(confirmationOf(undefined, 1_000)).toBeUndefined()
  })
})

describe('too few replicas', () => {
  const confirmation = { replicas: 2, withinMs: 500 }

  test.each([0, 1, undefined, Number.NaN])('%j of 2', (answered) => {
    expect(() => checkConfirmed(confirmation, answered, 'grant')).toThrow(`only ${answered || 0} of the 2 replicas`)
    expect(() => checkConfirmed(confirmation, answered, 'grant')).toThrow(expect.objectContaining({ kind: 'refused' }))
    expect(() => checkConfirmed(confirmation, answered, 'renewal')).toThrow(expect.objectContaining({ kind: 'unreachable' }))
  })

  test.each([2, 3])('%i are not', (answered) => {
    expect(() => checkConfirmed(confirmation, answered, 'grant')).not.toThrow()
  })
})

/** An exchange with a client whose commands a test answers. */
function makeScene(isCluster = false, batchLimit?: number) {
  const clock = new FakeClock()
  const client = Object.assign(new FakeClient(), { isCluster })
  const exchange = new Exchange(client, clock, { source: 'text', sha1: 'sha' }, batchLimit)
  const send = (key: string, replicas = 0, ttlMs = 30_000) => {
    const state: { answer?: Answer; error?: any } = {}
    exchange
      .send(key, key, (answer) => answer, confirmationOf(replicas, ttlMs))
      .then(
        (answer) => Object.assign(state, { answer }),
        (error) => Object.assign(state, { error }),
      )
    return state
  }
  /** The keys of a call, and the WAIT behind it, where one is. */
  const call = () => client.take('EVALSHA')
  const keysIn = (args: readonly string[]) => args.slice(3, 3 + Number(args[2]))
  return { clock, client, exchange, send, call, keysIn }
}

const yes = (count: number) => `777000${'\n1'.repeat(count)}`

describe('operations that replicas confirm', () => {
  test('travel by themselves, behind the others of the turn, with a WAIT for the most replicas that one of them asks for', async () => {
    const { client, send, call, keysIn } = makeScene()
    const all = [send('a', 1), send('b'), send('c', 2)]
    await turn()
    expect(client.open).toEqual(['EVALSHA', 'EVALSHA', 'WAIT'])
    const [plain, confirmed, wait] = [call(), call(), client.take('WAIT')]
    expect([keysIn(plain.args), keysIn(confirmed.args)]).toEqual([['b'], ['a', 'c']])
    expect(wait.args).toEqual(['WAIT', '2', '1000'])
    await plain.reply(yes(1))
    await confirmed.reply(yes(2))
    expect(all.map(({ answer }) => answer !== undefined)).toEqual([false, true, false])
    await wait.reply(2)
    expect(all.map(({ answer }) => answer?.replicas)).toEqual([2, undefined, 2])
  })

  test('a number that comes as digits is one', async () => {
    const { client, send, call } = makeScene()
    const sent = send('a', 1)
    await turn()
    await call().reply(yes(1))
    await client.take('WAIT').reply('1')
    expect(sent.answer?.replicas).toBe(1)
  })

  test('only one such call is under way; the next takes all that came meanwhile', async () => {
    const { client, send, call, keysIn } = makeScene()
    const first = send('a', 1)
    await turn()
    const [one, wait] = [call(), client.take('WAIT')]
    const others = [send('b', 1), send('c', 2), send('d', 1, 600)]
    send('e')
    await turn()
    expect(keysIn(call().args)).toEqual(['e'])
    expect(client.open).toEqual([])
    await one.reply(yes(1))
    await wait.reply(0)
    expect(first.answer?.replicas).toBe(0)
    // Not the one with the shorter lease, which can't be waited for as long.
    expect(keysIn(call().args)).toEqual(['b', 'c'])
    expect(client.take('WAIT').args).toEqual(['WAIT', '2', '1000'])
    expect(others.map(({ answer }) => answer)).toEqual([undefined, undefined, undefined])
  })

  test('nothing overtakes one that was asked for before it under the same key', async () => {
    const { client, send, call, keysIn } = makeScene()
    send('a', 1)
    await turn()
    const [one, wait] = [call(), client.take('WAIT')]
    send('b', 1, 600)
    send('c', 1)
    send('c')
    send('b')
    await turn()
    expect(client.open).toEqual([])
    await one.reply(yes(1))
    await wait.reply(1)
    const [two, secondWait] = [call(), client.take('WAIT')]
    expect(keysIn(two.args)).toEqual(['b', 'b'])
    await two.reply(yes(2))
    await secondWait.reply(1)
    expect(keysIn(call().args)).toEqual(['c', 'c'])
  })

  test('on a Cluster a call is of one name, which says where the WAIT goes, and those of a few names are under way', async () => {
    const { client, send, call, keysIn } = makeScene(true)
    for (const key of ['a', 'b', 'c', 'd', 'e', 'a']) send(key, 1)
    await turn()
    const calls = ['a', 'b', 'c', 'd'].map((key) => {
      const [one, wait] = [call(), client.take('WAIT')]
      // The other keys of the name are declared beside it.
      expect(keysIn(one.args)[0]).toBe(key)
      return { one, wait }
    })
    expect(client.open).toEqual([])
    // Both operations on a name that were asked for in one turn travelled together.
    await calls[0]?.one.reply(yes(2))
    await calls[0]?.wait.reply(1)
    expect(keysIn(call().args)[0]).toBe('e')
    client.take('WAIT')
    // One name is under way once.
    send('b', 1)
    await calls[2]?.one.reply(yes(1))
    await calls[2]?.wait.reply(1)
    expect(client.open).toEqual([])
    await calls[1]?.one.reply(yes(1))
    await calls[1]?.wait.reply(1)
    expect(keysIn(call().args)[0]).toBe('b')
  })

  test('the batch limit holds', async () => {
    const { client, send, call, keysIn } = makeScene(false, 2)
    for (const key of ['a', 'b', 'c']) send(key, 1)
    await turn()
    const [one, wait] = [call(), client.take('WAIT')]
    expect(keysIn(one.args)).toEqual(['a', 'b'])
    await one.reply(yes(2))
    await wait.reply(1)
    expect(keysIn(call().args)).toEqual(['c'])
  })

  test('a server that has forgotten the script is asked for replicas again', async () => {
    const { client, send, call } = makeScene()
    const sent = send('a', 1)
    await turn()
    const [one, wait] = [call(), client.take('WAIT')]
    await one.fail(replyError('NOSCRIPT No matching script.'))
    await wait.reply(2)
    expect(sent.answer).toBeUndefined()
    await client.take('EVAL').reply(yes(1))
    await client.take('WAIT').reply(1)
    expect(sent.answer?.replicas).toBe(1)
  })

  test('without the right to WAIT they fail, with the server’s words', async () => {
    const { client, send, call } = makeScene()
    const sent = send('a', 1)
    await turn()
    const [one, wait] = [call(), client.take('WAIT')]
    await one.reply(yes(1))
    await wait.fail(replyError("NOPERM this user has no permissions to run the 'wait' command"))
    expect(sent.error).toMatchObject({ kind: 'refused', message: expect.stringContaining("'wait'") })
    send('b', 1)
    await turn()
    expect(client.open).toEqual(['EVALSHA', 'WAIT'])
  })

  test('are given up when the connection is lost, also those that were not sent', async () => {
    const { client, send, call } = makeScene()
    const all = [send('a', 1)]
    await turn()
    call()
    const wait = client.take('WAIT')
    all.push(send('b', 1))
    await client.down()
    expect(all.map(({ error }) => error?.kind)).toEqual(['unreachable', 'unreachable'])
    // A library that sends it again on the next connection is told the number of all replicas there are.
    await wait.reply(9)
    await client.up()
    send('c', 1)
    await turn()
    expect(client.open).toEqual(['EVALSHA', 'WAIT'])
  })

  test('may take longer than others by the time that the server waits', async () => {
    const { clock, client, send, call } = makeScene()
    send('warm')
    await turn()
    await call().reply(yes(1))
    const all = [send('a', 1)]
    await turn()
    const one = call()
    client.take('WAIT')
    await one.reply(yes(1))
    all.push(send('b', 1))
    await clock.advance(2_500)
    expect(all.map(({ error }) => error)).toEqual([undefined, undefined])
    await clock.advance(1_000)
    expect(all[0]?.error).toMatchObject({ kind: 'unreachable' })
    await clock.advance(3_000)
    expect(all[1]?.error).toMatchObject({ kind: 'unreachable' })
  })

  test('are refused when the exchange is closed', async () => {
    const { client, exchange, send } = makeScene()
    const all = [send('a', 1)]
    await turn()
    all.push(send('b', 1))
    exchange.close()
    all.push(send('c', 1))
    await turn()
    for (const { error } of all) expect(error).toMatchObject({ kind: 'refused', message: 'the store was closed' })
    await client.take('EVALSHA').fail(new ClientError('CLOSED', 'closed'))
    await client.take('WAIT').fail(new ClientError('CLOSED', 'closed'))
    expect(client.open).toEqual([])
  })
})
