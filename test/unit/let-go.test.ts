import { beforeEach, describe, expect, test } from 'vitest'
import { letGo } from '../../src/store/let-go.js'
import { FakeClock } from '../../src/testing/fake-clock.js'
import { FakeStore, refused, unreachable } from '../support/fake-store.js'

let clock: FakeClock
let store: FakeStore

beforeEach(() => {
  clock = new FakeClock()
  store = new FakeStore()
})

test.each(['released', 'absent'] as const)('%s at the first answer is certain', async (status) => {
  const letting = letGo(store, clock, 'a', 's.1', clock.now() + 1_000, { withdraw: true })
  const request = store.take('release')
  expect(request.args).toEqual(['a', 's.1', { withdraw: true }])
  await request.reply({ status })
  await expect(letting).resolves.toEqual({ status, uncertain: false })
  expect(clock.pending).toBe(0)
})

test('after an attempt that was not answered it is not certain who did it', async () => {
  const letting = letGo(store, clock, 'a', 's.1', clock.now() + 1_000)
  await store.take('release').fail(unreachable())
  await clock.advance(200)
  await store.take('release').reply({ status: 'absent' })
  await expect(letting).resolves.toEqual({ status: 'absent', uncertain: true })
})

test('ends when its time is over, and asks once even if that was before it began', async () => {
  const letting = letGo(store, clock, 'a', 's.1', clock.now() - 1)
  await store.take('release').fail(unreachable())
  await clock.advance(50)
  await expect(letting).resolves.toEqual({ status: 'unanswered', uncertain: true })
  expect(store.open).toEqual([])
  expect(clock.pending).toBe(0)
})

describe('what asking again does not help is not asked again', () => {
  test.each([
    ['a refusal', refused()],
    ['an error of another kind', new TypeError('x')],
  ])('%s', async (_, error) => {
    const letting = expect(letGo(store, clock, 'a', 's.1', clock.now() + 1_000)).rejects.toBe(error)
    await store.take('release').fail(error)
    await letting
    await clock.advance(2_000)
    expect(store.open).toEqual([])
  })
})
