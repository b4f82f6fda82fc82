import { expect, test } from 'vitest'
import { eventually, until } from '../../support/until.js'

test('resolves to the value as soon as it is truthy', async () => {
  let looks = 0
  await expect(until(() => ++looks > 3 && looks, { everyMs: 1 })).resolves.toBe(4)
})

test('takes a condition that has to be awaited', async () => {
  await expect(until(async () => 'there')).resolves.toBe('there')
})

test('says what was awaited, and what there was instead', async () => {
  const tooLong = until(() => 0, { timeoutMs: 5, everyMs: 1, what: 'a waiter' })
  await expect(tooLong).rejects.toThrow('not within 5 ms: a waiter; it was 0 at last')
})

test('an error of the condition is not waited out', async () => {
  await expect(until(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
})

test('eventually resolves to what the assertion returns', async () => {
  let tries = 0
  const assertion = () => {
    if (++tries < 3) throw new Error('not yet')
    return tries
  }
  await expect(eventually(assertion, { everyMs: 1 })).resolves.toBe(3)
})

test('eventually fails with the last error', async () => {
  const lastError = new Error('one waiter, not two')
  const failing = eventually(() => Promise.reject(lastError), { timeoutMs: 5, everyMs: 1, what: 'two waiters' })
  await expect(failing).rejects.toMatchObject({ message: 'not within 5 ms: two waiters; at last: one waiter, not two', cause: lastError })
})
