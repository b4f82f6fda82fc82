import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DeadlineHeap, type HeapEntry } from '../../src/util/deadline-heap.js'

interface Entry extends HeapEntry {
  readonly name: number
}

const entry = (name: number): Entry => ({ name, dueMs: 0, heapIndex: -1 })

/** Empties the heap from its top. */
function drain(heap: DeadlineHeap<Entry>): number[] {
  const dueMs: number[] = []
  for (let first = heap.first; first !== undefined; first = heap.first) {
    dueMs.push(first.dueMs)
    heap.remove(first)
  }
  return dueMs
}

test('an empty heap has no first', () => {
  const heap = new DeadlineHeap<Entry>()
  expect(heap.first).toBeUndefined()
  expect(heap.size).toBe(0)
})

test('what is due first is on top, whatever the order of arrival', () => {
  const heap = new DeadlineHeap<Entry>()
  for (const dueMs of [5, 3, 8, 1, 9, 2, 2, 7]) heap.set(entry(dueMs), dueMs)
  expect(heap.size).toBe(8)
  expect(drain(heap)).toEqual([1, 2, 2, 3, 5, 7, 8, 9])
})

test('setting an entry again moves it and does not add it a second time', () => {
  const heap = new DeadlineHeap<Entry>()
  const [a, b, c] = [entry(1), entry(2), entry(3)]
  heap.set(a, 10)
  heap.set(b, 20)
  heap.set(c, 30)
  heap.set(a, 40)
  expect(heap.first).toBe(b)
  heap.set(c, 5)
  expect(heap.first).toBe(c)
  expect(heap.size).toBe(3)
})

test('removing what is not in it does no harm', () => {
  const heap = new DeadlineHeap<Entry>()
  const [a, b] = [entry(1), entry(2)]
  heap.set(a, 1)
  heap.remove(b)
  heap.remove(a)
  heap.remove(a)
  expect(heap.size).toBe(0)
  expect(a.heapIndex).toBe(-1)
})

test('a removed entry can be added again', () => {
  const heap = new DeadlineHeap<Entry>()
  const a = entry(1)
  heap.set(a, 1)
  heap.remove(a)
  heap.set(a, 2)
  expect(heap.first).toBe(a)
  expect(heap.size).toBe(1)
})

const action = fc.record({ kind: fc.constantFrom('set', 'remove'), name: fc.nat(15), dueMs: fc.integer({ min: -5, max: 5 }) })

describe('like a sorted list, whatever is done to it', () => {
  test('the first is one of the earliest, and every entry knows its place', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const heap = new DeadlineHeap<Entry>()
        const entries = Array.from({ length: 16 }, (_, name) => entry(name))
        const model = new Map<number, number>()
        for (const { kind, name, dueMs } of actions) {
          if (kind === 'set') {
            heap.set(entries[name]!, dueMs)
            model.set(name, dueMs)
          } else {
            heap.remove(entries[name]!)
            model.delete(name)
          }
          expect(heap.size).toBe(model.size)
          expect(heap.first?.dueMs).toBe(model.size === 0 ? undefined : Math.min(...model.values()))
          for (const one of entries) expect(one.heapIndex !== -1).toBe(model.has(one.name))
        }
        expect(drain(heap)).toEqual([...model.values()].sort((a, b) => a - b))
      }),
    )
  })
})
