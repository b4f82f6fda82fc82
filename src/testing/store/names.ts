/** Names that a careless encoding would lose, confuse or choke on. Any text of up to 512 bytes is a name. */

import assert from 'node:assert/strict'
import { LONG_MS, READER, type StoreCase } from './lab.js'

const HOSTILE = [
  '',
  ' ',
  '  ',
  'a',
  'A',
  'a ',
  ' a',
  'a b',
  '\t',
  '\n',
  'a\nb',
  '\r\n',
  '\0',
  'a\0',
  'a\0b',
  '{',
  '}',
  '{}',
  '{a}',
  'a}',
  'a}b',
  '}{',
  '{{',
  '%',
  '%%',
  '%7D',
  'a%7D',
  'a%257D',
  '%25',
  '%7B',
  '%00',
  'a%',
  '*',
  '?',
  '[a]',
  'a*',
  '\\',
  '\\n',
  "'",
  '"',
  '`',
  '$a',
  '${a}',
  ':',
  'a:queue',
  'a:waiters',
  'inbox:a',
  '-',
  '0',
  '-1',
  '1e3',
  '.',
  '..',
  'a/b',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'toString',
  'undefined',
  'null',
  'NaN',
  'token',
  'used',
  'é',
  'e\u0301',
  'ß',
  'ss',
  '😀',
  '\u{1F469}\u200D\u{1F680}',
  '日本語',
  '\uFEFF',
  '\u2028',
  '\u202Eabc',
  'x'.repeat(512),
  `${'x'.repeat(511)}y`,
  'é'.repeat(256),
  '}'.repeat(512),
]

export const nameCases: StoreCase[] = [
  {
    name: 'any text is a name of its own: all are held at the same time, each by its own claim',
    async run(lab) {
      const session = await lab.session()
      const claims = new Map<string, string>()
      for (const name of HOSTILE) claims.set(name, (await session.take(name)).id)
      assert.equal(claims.size, HOSTILE.length)
      for (const [name, id] of claims) {
        assert.deepEqual(
          (await lab.held(name)).map((one) => [one.name, one.id]),
          [[name, id]],
          JSON.stringify(name),
        )
        assert.equal((await lab.peer.renew(name, id, LONG_MS)).status, 'held')
        assert.equal((await session.ask(name, { queue: false })).reply.status, 'busy')
      }
      const { held } = await lab.peer.query({})
      assert.deepEqual(held.map((one) => one.name).sort(), [...HOSTILE].sort())
      for (const [name, id] of claims) assert.equal((await lab.store.release(name, id)).status, 'released', JSON.stringify(name))
      assert.deepEqual(await lab.peer.query({}), { held: [], pending: [] })
    },
  },
  {
    name: 'waiters of any name are queued, told and freed',
    async run(lab) {
      const [here, there] = [await lab.session(), await lab.session(lab.peer)]
      for (const name of HOSTILE) {
        const first = await here.take(name)
        const next = await there.wait(name)
        assert.deepEqual(
          (await lab.pending(name)).map((one) => [one.name, one.id]),
          [[name, next.id]],
        )
        await lab.store.release(name, first.id)
        await there.enters(next)
        assert.equal(await lab.peer.forceRelease(name), 1)
      }
      assert.deepEqual(await lab.peer.query({}), { held: [], pending: [] })
    },
  },
  {
    name: 'what is written on a claim is kept as it is, empty or hostile',
    async run(lab) {
      const session = await lab.session()
      const texts = ['', ' ', '{}', 'a\0b', '\n', '%s %d {0} \\', 'é😀'.repeat(200), JSON.stringify({ label: '__proto__ \0 \n "' })]
      for (const claim of [{}, READER]) {
        for (const info of texts) {
          const name = JSON.stringify([claim, info])
          const { id } = await session.take(name, { ...claim, info })
          await session.wait(name, { info })
          await session.wait(name, { ...claim, info })
          await lab.store.renew(name, id, 2 * LONG_MS)
          const { held, pending } = await lab.peer.query({ name })
          assert.deepEqual(
            [...held, ...pending].map((one) => one.info),
            [info, info, info],
          )
        }
      }
    },
  },
]
