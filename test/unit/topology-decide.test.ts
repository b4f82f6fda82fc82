import { describe, expect, test } from 'vitest'
import { ClientError } from '../../src/clients/client.js'
import { type Asked, type NodeReport, parseInfo } from '../../src/clients/topology/ask.js'
import { decide, primaryOf } from '../../src/clients/topology/decide.js'

/** What nodes say, in short: see `node`. */
const REPORT: NodeReport = { kind: 'primary', histories: [], follows: undefined, linkUp: false, offset: 0, promotable: true, watches: [] }

/**
 * A node named `a:1` by its letter, and what it is:
 *
 * - `P x`: a primary with the history x; `P x y`: which came out of y
 * - `R x a`: a replica with the history x that follows a and is linked; `r x a`: that does not reach it
 * - `S m`: a sentinel that watches m; `C`: of a Cluster; `-`: silent; `!`: refuses us
 */
function node(text: string, index: number): Asked {
  const describe = `${'abcdefg'[index]}:1`
  const [kind, first = '', second = ''] = text.split(' ')
  switch (kind) {
    case 'P':
      return { describe, answer: { ...REPORT, histories: [first, second].filter(Boolean) } }
    case 'R':
    case 'r':
      return { describe, answer: { ...REPORT, kind: 'replica', histories: [first], follows: `${second}:1`, linkUp: kind === 'R' } }
    case 'S':
      return { describe, answer: { ...REPORT, kind: 'sentinel', watches: first.split(',').filter(Boolean) } }
    case 'C':
      return { describe, answer: { ...REPORT, kind: 'cluster' } }
    case '!':
      return { describe, answer: new ClientError('REPLY', 'WRONGPASS no', 'WRONGPASS') }
    default:
      return { describe, answer: new ClientError('CONNECTION', `connect ECONNREFUSED ${describe}`) }
  }
}

const nodes = (texts: string[]): Asked[] => texts.map(node)

describe('what the nodes are', () => {
  test.each([
    ['one server', ['P x'], 'single'],
    ['independent primaries', ['P x', 'P y', 'P z'], 'quorum'],
    ['two of them', ['P x', 'P y'], 'quorum'],
    ['with one away', ['P x', '-', 'P z'], 'quorum'],
    ['with two of five away', ['P x', '-', 'P z', '-', 'P w'], 'quorum'],
    ['a primary and its replicas', ['P x', 'R x a', 'R x a'], 'replicas'],
    ['in another order', ['R x b', 'P x', 'R x b'], 'replicas'],
    ['a primary and one', ['P x', 'R x a'], 'replicas'],
    ['with a replica away', ['P x', 'R x a', '-'], 'replicas'],
    ['with the primary away', ['-', 'r x a', 'r x a'], 'replicas'],
    ['a replica that was told another name of the primary', ['P x', 'R x q', '-'], 'replicas'],
    ['a replica of a replica', ['P x', 'R x a', 'R x b'], 'replicas'],
    ['a former primary that came back with nothing', ['P z', 'P x', 'R x b'], 'replicas'],
    ['a former primary that does not know yet', ['P x', 'P y x', 'R y b'], 'replicas'],
    ['that and no replica: they have a history in common', ['P x', 'P y x', '-'], 'replicas'],
    ['replicas none of which has heard of the other yet', ['r x b', 'r y a', '-'], 'replicas'],
    ['a replica that has not reached the primary yet', ['P x', 'r y a', 'R x a'], 'replicas'],
    ['one whose primary is not known to be of the set, as long as it does not reach it', ['P x', 'R x a', 'r y q'], 'replicas'],
    ['a Cluster', ['C', 'C', 'C'], 'cluster'],
    ['a node of a Cluster', ['C'], 'cluster'],
    ['sentinels', ['S m', 'S m', '-'], 'sentinels'],
  ])('%s', (_, texts, kind) => {
    expect(decide(nodes(texts)).kind).toBe(kind)
  })

  test('the names that sentinels know are put together', () => {
    expect(decide(nodes(['S m', 'S m,o', 'S']))).toEqual({ kind: 'sentinels', watches: ['m', 'o'] })
  })
})

describe('a list that is nothing names each node and its role', () => {
  test.each([
    ['a sentinel among data nodes', ['S m', 'P x', 'P y'], ['a:1 is a sentinel of m', 'b:1 is a primary', 'c:1 is a primary']],
    ['also with one away', ['S m', 'P x', '-'], ['a:1 is a sentinel of m', 'b:1 is a primary', 'connect ECONNREFUSED c:1']],
    ['a node of a Cluster among others', ['C', 'P x', 'C'], ['a:1 is a node of a Cluster', 'b:1 is a primary']],
    ['a replica alone', ['R x q'], ['a:1 is a replica of q:1']],
    ['replicas without their primary', ['R x q', 'R x q'], ['a:1 is a replica of q:1', 'b:1 is a replica of q:1']],
    ['a replica of another primary', ['P x', 'R x a', 'R y q'], ['c:1 is a replica of q:1']],
    ['two sets', ['P x', 'R x a', 'P y', 'R y c'], ['b:1 is a replica of a:1', 'd:1 is a replica of c:1']],
    ['independent primaries, and a replica of one', ['P x', 'P y', 'P z', 'R z c'], ['d:1 is a replica of c:1']],
    ['a primary that was a replica of another, among independent ones', ['P x', 'P y x', 'P z'], ['b:1 is a primary', 'were replicas']],
    ['a primary, and a replica of somebody else', ['P x', 'R y q'], ['b:1 is a replica of q:1']],
  ])('%s', (_, texts, said) => {
    const decision = decide(nodes(texts))
    expect(decision).toMatchObject({ kind: 'contradiction' })
    for (const text of said) expect((decision as { reason: string }).reason).toContain(text)
  })
})

describe('too few answers name each node and its error', () => {
  test.each([
    [['-'], 'unreachable'],
    [['P x', '-'], 'unreachable'],
    [['-', 'P x', '-'], 'unreachable'],
    [['P x', 'P y', '-', '-'], 'unreachable'],
    [['!'], 'refused'],
    [['!', '!', 'P x'], 'refused'],
    [['!', '-', 'P x'], 'unreachable'],
  ])('%j', (texts, kind) => {
    const decision = decide(nodes(texts)) as { kind: string; reason: string }
    expect(decision.kind).toBe(kind)
    for (const [i, text] of texts.entries()) {
      const said =
        { '-': `connect ECONNREFUSED ${'abcd'[i]}:1`, '!': `${'abcd'[i]}:1: WRONGPASS no` }[text] ?? `${'abcd'[i]}:1 is a primary`
      expect(decision.reason).toContain(said)
    }
  })

  test('of sentinels one may be enough', () => {
    expect(decide(nodes(['-', 'S m', '-']), 1).kind).toBe('sentinels')
  })
})

describe('which node is the primary', () => {
  test.each([
    ['the only one', ['R x b', 'P x', 'R x b'], 1],
    ['none while it is away', ['-', 'r x a', 'r x a'], -1],
    ['the one that is followed', ['P x', 'P y', 'R y b'], 1],
    ['the one that more follow', ['P x', 'P y', 'R y b', 'R x a', 'R y b'], 1],
    ['not a former one while the new one is away', ['P x', '-', 'r y b'], -1],
    ['of two that nobody follows, the one promoted later', ['P x', 'P y x', '-'], 1],
    ['of two with as many followers too', ['P x', 'P y x', 'R x a', 'R y b'], 1],
    ['nobody knows', ['P x', 'P y', '-'], -1],
    ['one that a replica was told by another name', ['P x', 'R x q', 'R x q'], 0],
  ])('%s', (_, texts, index) => {
    expect(primaryOf(nodes(texts))).toBe(index)
  })
})

describe('what INFO says', () => {
  const info = (fields: Record<string, string | number>) =>
    `# Part\r\n${Object.entries(fields)
      .map(([name, value]) => `${name}:${value}\r\n`)
      .join('')}\r\n`
  const zeros = '0'.repeat(40)

  test('a primary', () => {
    const text = info({ redis_mode: 'standalone', role: 'master', master_replid: 'x', master_replid2: zeros, master_repl_offset: 12 })
    expect(parseInfo(text)).toEqual({ ...REPORT, histories: ['x'], offset: 12 })
  })

  test('a replica, of an IPv6 address', () => {
    const link = { master_host: '::1', master_port: 7000, master_link_status: 'up', slave_repl_offset: 5, master_repl_offset: 4 }
    const text = info({ server_mode: 'standalone', role: 'slave', ...link, master_replid: 'x', master_replid2: 'y' })
    expect(parseInfo(text)).toEqual({ ...REPORT, kind: 'replica', histories: ['x', 'y'], follows: '[::1]:7000', linkUp: true, offset: 5 })
  })

  test('a sentinel', () => {
    const text = info({ redis_mode: 'sentinel', sentinel_masters: 2, master0: 'name=m,status=ok', master1: 'name=o,status=ok' })
    expect(parseInfo(text)).toEqual({ ...REPORT, kind: 'sentinel', watches: ['m', 'o'] })
  })

  test('a node of a Cluster', () => {
    expect(parseInfo(info({ role: 'master', cluster_enabled: 1 })).kind).toBe('cluster')
  })
})
