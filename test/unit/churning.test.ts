import { describe, expect, test } from 'vitest'
import { ChurningMap, ChurningSet } from '../../src/util/churning.js'

describe('a churning map', () => {
  test('does what a Map does', () => {
    const map = new ChurningMap<string, number>()
    map.set('a', 1)
    map.set('b', 2)
    map.set('a', 3)
    expect([map.size, map.get('a'), map.get('c'), map.has('b'), map.has('c')]).toEqual([2, 3, undefined, true, false])
    expect([map.keys(), map.values()]).toEqual([
      ['a', 'b'],
      [3, 2],
    ])
    map.delete('c')
    map.delete('a')
    expect([map.size, map.keys()]).toEqual([1, ['b']])
  })

  test('keeps what is in it, in its order, while thousands come and go', () => {
    const map = new ChurningMap<number, number>()
    const expected = new Map<number, number>()
    for (let i = 0; i < 20_000; i++) {
      map.set(i, -i)
      expected.set(i, -i)
      // A hundred stay at any time, and some stay for good.
      if (i < 100 || i % 1_000 === 0) continue
      map.delete(i - 50)
      expected.delete(i - 50)
    }
    expect(map.size).toBe(expected.size)
    expect(map.keys()).toEqual([...expected.keys()])
    expect(map.values()).toEqual([...expected.values()])
  })

  test('is replaced now and then, but not for each few removals while it is large', () => {
    const map = new ChurningMap<number, number>()
    const inner = () => (map as unknown as { map: Map<number, number> }).map
    const churn = (times: number) => {
      for (let i = 0; i < times; i++) {
        map.set(-1, 0)
        map.delete(-1)
      }
    }
    const first = inner()
    churn(511)
    expect(inner()).toBe(first)
    churn(1)
    const second = inner()
    expect(second).not.toBe(first)
    for (let i = 0; i < 1_000; i++) map.set(i, i)
    churn(3_999)
    expect(inner()).toBe(second)
    churn(1)
    expect(inner()).not.toBe(second)
  })

  test('lists what is in it at that moment', () => {
    const map = new ChurningMap<string, number>()
    map.set('a', 1)
    for (const key of map.keys()) map.delete(key)
    expect([map.size, map.keys()]).toEqual([0, []])
  })
})

test('a churning set', () => {
  const set = new ChurningSet<string>()
  set.add('a')
  set.add('b')
  set.add('a')
  expect([set.size, set.values()]).toEqual([2, ['a', 'b']])
  const before = set.values()
  set.delete('a')
  expect([set.values(), before]).toEqual([['b'], ['a', 'b']])
})
