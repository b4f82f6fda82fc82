import { expect, test } from 'vitest'
import { RecentMap } from '../../src/util/recent-map.js'

test('the oldest is forgotten when there are too many', () => {
  const map = new RecentMap<string, number>(3)
  for (const [i, key] of ['a', 'b', 'c', 'd'].entries()) map.set(key, i)
  expect(['a', 'b', 'c', 'd'].map((key) => map.get(key))).toEqual([undefined, 1, 2, 3])
  expect(map.size).toBe(3)
})

test('a new value for what is there makes nothing else go, and it no younger', () => {
  const map = new RecentMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.set('a', 3)
  expect([map.get('a'), map.get('b'), map.size]).toEqual([3, 2, 2])
  map.set('c', 4)
  expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([undefined, 2, 4])
})
