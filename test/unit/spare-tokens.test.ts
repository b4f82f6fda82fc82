import { describe, expect, test } from 'vitest'
import { SpareTokens } from '../../src/lease/spare-tokens.js'
import { SPARE_TOKENS } from '../../src/store/store.js'

const takeAll = (spare: { take(): number | undefined }) => {
  const taken: number[] = []
  for (let token = spare.take(); token !== undefined; token = spare.take()) taken.push(token)
  return taken
}
const behind = (token: number) => Array.from({ length: SPARE_TOKENS }, (_, i) => token + 1 + i)

describe('the spare tokens of a name', () => {
  test('are those behind the token of a grant', () => {
    expect(takeAll(new SpareTokens().granted('a', 100))).toEqual(behind(100))
  })

  test('are those of the newest grant, for all who hold it: they grow', () => {
    const spares = new SpareTokens()
    const first = spares.granted('a', 100)
    expect(first.take()).toBe(101)
    const second = spares.granted('a', 200)
    expect([first.take(), second.take(), first.take()]).toEqual([201, 202, 203])
    expect(takeAll(first)).toEqual(behind(200).slice(3))
    expect(second.take()).toBeUndefined()
  })

  test('are not given twice when an older grant is heard of later', () => {
    const spares = new SpareTokens()
    const newer = spares.granted('a', 200)
    expect(newer.take()).toBe(201)
    expect(spares.granted('a', 100).take()).toBe(202)
  })

  test('of other names are others', () => {
    const spares = new SpareTokens()
    spares.granted('a', 100)
    expect(takeAll(spares.granted('b', 500))).toEqual(behind(500))
  })

  test('of more than a thousand names are not all remembered', () => {
    const spares = new SpareTokens()
    for (let i = 0; i < 5_000; i++) spares.granted(`name ${i}`, i)
    expect((spares as unknown as { byName: Map<string, unknown> }).byName.size).toBe(1_000)
  })
})
