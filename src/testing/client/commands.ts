/** Cases: commands and their replies. */

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { type Cases, failsWith } from './scene.js'

const SECRET = 'hunter2-is-a-secret'
const SCRIPT = {
  echo: 'return ARGV',
  nested: "return {1, 'two', {3, 'four'}, {}, {5}, 'six', false}",
  fail: "return redis.error_reply('CUSTOM_CODE with a text')",
}

export const orderCases: Cases = {
  'commands are carried out in the order of their sending': async ({ client }) => {
    const replies = await Promise.all(Array.from({ length: 500 }, () => client.command(['INCR', 'counter'], 'counter')))
    assert.deepEqual(
      replies.map(Number),
      [...replies.keys()].map((index) => index + 1),
    )
  },
}

export const commandCases: Cases = {
  ...orderCases,

  'a command resolves to its reply': async ({ client }) => {
    assert.equal(await client.command(['SET', 'key', 'value'], 'key'), 'OK')
    assert.equal(await client.command(['GET', 'key'], 'key'), 'value')
    assert.equal(Number(await client.command(['INCR', 'counter'], 'counter')), 1)
    assert.equal(await client.command(['GET', 'absent'], 'absent'), null)
    const nested = await client.command(['EVAL', SCRIPT.nested, '0'], 'key')
    assert.deepEqual(nested, [1, 'two', [3, 'four'], [], [5], 'six', null])
  },

  'arguments arrive as they are': async ({ client }) => {
    const texts = ['', ' ', 'a b', '"', "'", '{x}', '\r\n', '\0', 'ünïcödé 鍵 🔒', 'x'.repeat(100_000)]
    assert.deepEqual(await client.command(['EVAL', SCRIPT.echo, '0', ...texts], 'key'), texts)
  },

  'an error reply rejects with its code': async ({ client }) => {
    await client.command(['SET', 'text', 'x'], 'text')
    await failsWith(client.command(['EVALSHA', '0'.repeat(40), '0'], 'key'), 'REPLY', 'NOSCRIPT')
    await failsWith(client.command(['INCRBY', 'text', '1'], 'text'), 'REPLY', 'ERR')
    await failsWith(client.command(['LPUSH', 'text', '1'], 'text'), 'REPLY', 'WRONGTYPE')
    const error = await failsWith(client.command(['EVAL', SCRIPT.fail, '0'], 'key'), 'REPLY', 'CUSTOM_CODE')
    assert.match(error.message, /^CUSTOM_CODE.*with a text/)
  },

  'no error carries arguments': async ({ client }) => {
    const errors = [
      await failsWith(client.command(['EVALSHA', '0'.repeat(40), '0', SECRET], 'key'), 'REPLY', 'NOSCRIPT'),
      await failsWith(client.command(['NO-SUCH-COMMAND', SECRET]), 'REPLY', 'ERR'),
    ]
    for (const error of errors) assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(SECRET), error.message)
  },
}
