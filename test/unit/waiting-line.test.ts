import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type LineEntry, WaitingLine } from '../../src/util/waiting-line.js'

class Entry implements LineEntry<Entry> {
  before: Entry | undefined
  behind: Entry | undefined

  constructor(
    readonly id: number,
    readonly priority = 0,
  ) {}
}

const idsOf = (line: WaitingLine<Entry>) => Array.from(line, ({ id }) => id)

/** A line of entries with these priorities, whose ids are their places in the list. */
function makeLine(...priorities: number[]) {
  const line = new WaitingLine<Entry>()
  const entries = priorities.map((priority, id) => new Entry(id, priority))
  for (const entry of entries) line.add(entry)
  return { line, entries }
}

test('an empty line has nobody in it', () => {
  const { line } = makeLine()
  expect([line.size, line.first, idsOf(line)]).toEqual([0, undefined, []])
})

test('equal ones stand in the order of their arrival', () => {
  expect(idsOf(makeLine(0, 0, 0).line)).toEqual([0, 1, 2])
})

test('a higher priority stands before a lower one, whenever it comes', () => {
  const { line, entries } = makeLine(0, 5, -5, 5, 0, 7)
  expect(idsOf(line)).toEqual([5, 1, 3, 0, 4, 2])
  expect(line.first).toBe(entries[5])
})

describe('who leaves', () => {
  test.each([
    ['the first', 0, [1, 2]],
    ['one in the middle', 1, [0, 2]],
    ['the last', 2, [0, 1]],
  ])('may be %s', (_, place, left) => {
    const { line, entries } = makeLine(0, 0, 0)
    line.remove(entries[place] as Entry)
    expect([line.size, idsOf(line), line.first?.id]).toEqual([2, left, left[0]])
  })

  test('leads to nobody any more, and can come again, as the last', () => {
    const { line, entries } = makeLine(0, 0, 0)
    const [first] = entries as [Entry]
    line.remove(first)
    expect([first.before, first.behind]).toEqual([undefined, undefined])
    line.add(first)
    expect(idsOf(line)).toEqual([1, 2, 0])
  })

  test('leaves no trace of a priority that nobody has', () => {
    const { line, entries } = makeLine(1, 2, 3)
    for (const entry of entries) line.remove(entry)
    expect((line as unknown as { ranks: unknown[] }).ranks).toEqual([])
  })
})

test('neighbours are those of the same priority only', () => {
  const [a, b, c, d] = makeLine(0, 1, 0, 1).entries as [Entry, Entry, Entry, Entry]
  expect([a.before, a.behind, c.before, c.behind]).toEqual([undefined, c, a, undefined])
  expect([b.before, b.behind, d.before, d.behind]).toEqual([undefined, d, b, undefined])
})

test('a sorted array of all that is in it would be the same, whoever comes and goes', () => {
  // A priority: one with it comes; a share: whoever stands there leaves.
  const step = fc.oneof(
    fc.record({ comes: fc.integer({ min: -2, max: 2 }) }),
    fc.record({ leaves: fc.double({ min: 0, max: 0.999, noNaN: true }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const line = new WaitingLine<Entry>()
      let model: Entry[] = []
      let count = 0
      for (const one of steps) {
        if ('comes' in one) {
          const entry = new Entry(count++, one.comes)
          line.add(entry)
          model = [...model, entry].sort((a, b) => b.priority - a.priority || a.id - b.id)
        } else if (model.length > 0) {
          const [entry] = model.splice(Math.floor(one.leaves * model.length), 1) as [Entry]
          line.remove(entry)
        }
        expect([...line]).toEqual(model)
        expect([line.size, line.first]).toEqual([model.length, model[0]])
        for (const [place, entry] of model.entries()) {
          const [before, behind] = [model[place - 1], model[place + 1]]
          expect(entry.before).toBe(before?.priority === entry.priority ? before : undefined)
          expect(entry.behind).toBe(behind?.priority === entry.priority ? behind : undefined)
        }
      }
    }),
  )
})

test('adding to and taking from a long line looks at no others', () => {
  let looks = 0
  class Watched implements LineEntry<Watched> {
    before: Watched | undefined
    behind: Watched | undefined

    get priority(): number {
      looks += 1
      return 0
    }
  }
  const line = new WaitingLine<Watched>()
  const entries = Array.from({ length: 10_000 }, () => new Watched())
  for (const entry of entries) line.add(entry)
  for (const entry of entries) line.remove(entry)
  expect(line.size).toBe(0)
  expect(looks).toBeGreaterThan(0)
  expect(looks).toBeLessThan(10 * entries.length)
})
