import { describe, expect, test } from 'vitest'
import { ClientError } from '../../src/clients/client.js'
import type { Asked, NodeReport } from '../../src/clients/topology/ask.js'
import { choose, strays } from '../../src/clients/topology/promoter.js'

const REPORT: NodeReport = { kind: 'primary', histories: [], follows: undefined, linkUp: false, offset: 0, promotable: true, watches: [] }

function away(describe: string): Asked {
  return { describe, answer: new ClientError('CONNECTION', 'connect ECONNREFUSED') }
}

function primary(describe: string, ...histories: string[]): Asked {
  return { describe, answer: { ...REPORT, histories } }
}

/** One that follows `a:1` and does not reach it. */
function replica(describe: string, offset: number, more: Partial<NodeReport> = {}): Asked {
  return { describe, answer: { ...REPORT, kind: 'replica', histories: ['x'], follows: 'a:1', offset, ...more } }
}

describe('which replica is promoted', () => {
  test.each<[string, Asked[], string | undefined]>([
    ['the one with the largest offset', [away('a:1'), replica('b:1', 5), replica('c:1', 7)], 'c:1'],
    ['of equals the first by address', [away('a:1'), replica('c:1', 5), replica('b:1', 5)], 'b:1'],
    ['none that its owner keeps from it', [away('a:1'), replica('b:1', 7, { promotable: false }), replica('c:1', 5)], 'c:1'],
    [
      'none with another history, however long',
      [away('a:1'), replica('b:1', 9, { histories: ['y'] }), replica('c:1', 5), replica('d:1', 5)],
      'c:1',
    ],
    ['one that was promoted already', [away('a:1'), primary('b:1', 'y', 'x'), replica('c:1', 7)], 'b:1'],
    ['not a stranger that is a primary', [away('a:1'), primary('b:1', 'y'), replica('c:1', 7)], 'c:1'],
    ['none while one of them reaches the primary', [away('a:1'), replica('b:1', 5), replica('c:1', 7, { linkUp: true })], undefined],
    [
      'one of a circle: nobody in it reaches a primary',
      [away('c:1'), replica('a:1', 5, { follows: 'b:1', linkUp: true }), replica('b:1', 7, { follows: 'a:1', linkUp: true })],
      'b:1',
    ],
    [
      'none while the one that another follows reaches the primary',
      [replica('b:1', 5, { linkUp: true }), replica('c:1', 7, { follows: 'b:1', linkUp: true })],
      undefined,
    ],
    ['none where there is none', [away('a:1'), primary('b:1', 'y')], undefined],
  ])('%s', (_, asked, expected) => {
    expect(choose(asked)?.describe).toBe(expected)
  })
})

describe('which nodes are made replicas of the primary', () => {
  const follower = (describe: string) => replica(describe, 0, { follows: 'b:1', linkUp: true })

  test.each<[string, Asked[], string[]]>([
    ['a former primary', [primary('a:1', 'x'), primary('b:1', 'y', 'x'), follower('c:1')], ['a:1']],
    [
      'a replica of one that is not there',
      [away('a:1'), primary('b:1', 'y', 'x'), follower('c:1'), replica('d:1', 5), follower('e:1')],
      ['d:1'],
    ],
    ['none that is on its way', [away('a:1'), primary('b:1', 'y', 'x'), follower('c:1'), replica('d:1', 5, { follows: 'b:1' })], []],
    [
      'none that follows a node of the set',
      [away('a:1'), primary('b:1', 'y'), follower('c:1'), replica('d:1', 5, { follows: 'c:1', linkUp: true })],
      [],
    ],
    [
      'none that follows somebody who is not named',
      [away('a:1'), primary('b:1', 'y'), follower('c:1'), replica('d:1', 5, { follows: 'q:1' })],
      [],
    ],
    ['none while no majority is agreed', [primary('a:1', 'x'), primary('b:1', 'y', 'x'), away('c:1')], []],
    ['none that is away', [away('a:1'), primary('b:1', 'y', 'x'), follower('c:1')], []],
  ])('%s', (_, asked, expected) => {
    expect(strays(asked, asked[1] as Asked).map(({ describe }) => describe)).toEqual(expected)
  })
})
