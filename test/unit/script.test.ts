import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { scriptFor } from '../../src/store/redis/script.js'
import { batch, setnx } from '../../src/store/redis/scripts.generated.js'

const SETTINGS = { inboxPrefix: 'p:inbox:', claimWindowMs: 5_000, waiterLifeMs: 10_000, oldPrefix: undefined, protocol: 'queue' } as const
const NAMES = 'INBOX, CLAIM_WINDOW, WAITER_LIFE, OLD_PREFIX, VOTER'

test('the script begins with the settings of its store', () => {
  const { source } = scriptFor(SETTINGS)
  expect(source).toBe(`local ${NAMES} = 'p:inbox:', 5000, 10000, false, false\n${batch}`)
  const beside = scriptFor({ ...SETTINGS, oldPrefix: 'p:', protocol: 'setnx' })
  expect(beside.source).toBe(`local ${NAMES} = 'p:inbox:', 5000, 10000, 'p:', false\n${setnx}`)
})

test('it has the SHA-1 under which a server keeps it, which is the same for stores with the same settings', () => {
  const { source, sha1 } = scriptFor(SETTINGS)
  expect(sha1).toBe(createHash('sha1').update(source).digest('hex'))
  expect(scriptFor({ ...SETTINGS }).sha1).toBe(sha1)
  const others = [{ inboxPrefix: 'q:inbox:' }, { claimWindowMs: 300 }, { waiterLifeMs: 400 }, { oldPrefix: 'p:' }, { voterKey: 'p:' }].map(
    (other) => scriptFor({ ...SETTINGS, ...other }).sha1,
  )
  expect(new Set([sha1, ...others]).size).toBe(6)
})

test.each([
  ["'", "'\\039'"],
  ['\\', "'\\092'"],
  ['\n\0', "'\\010\\000'"],
  ['é1', "'\\195\\1691'"],
  ["', 1, 2 os.exit() --", "'\\039\\044\\0321\\044\\0322\\032os.exit\\040\\041\\032--'"],
])('a prefix is nothing but text: %j', (inboxPrefix, literal) => {
  const [line] = scriptFor({ ...SETTINGS, inboxPrefix }).source.split('\n', 1)
  expect(line).toBe(`local ${NAMES} = ${literal}, 5000, 10000, false, false`)
})
