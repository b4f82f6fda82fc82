import { expect } from 'vitest'
import type { ClaimRequest, Grant, LockStore } from '../../src/memory.js'
import { until } from '../support/until.js'

/**
 * Asserts that a store says all that the contract lets it leave out: the conformance suite can only hold it to what it does say, and without
 * these parts a process could hand no lock on.
 */
export async function expectOptionalParts(store: LockStore): Promise<void> {
  const heard: Grant[] = []
  const nothing = () => undefined
  const listener = { changed: nothing, othersWait: nothing, restored: nothing, disconnected: nothing, warning: nothing }
  const leave = await store.listen('one', { ...listener, granted: (_, grant) => heard.push(grant) })
  const usual = { name: 'parts', permits: 1, ttlMs: 60_000, priority: 0, ticket: 0, queue: true, info: '' } as const
  const acquire = (id: string, mode: ClaimRequest['mode'] = 'exclusive') => store.acquire({ ...usual, id, mode, limit: 0 })

  expect(await acquire('one.1')).toMatchObject({ status: 'granted', othersWait: false, canHandOn: true })
  expect(await acquire('one.2')).toMatchObject({ status: 'waiting', waiters: 1 })
  expect(await acquire('one.3', 'counted')).toMatchObject({ status: 'waiting', waiters: 2 })
  expect(await acquire('one.1')).toMatchObject({ status: 'granted', othersWait: true, canHandOn: true })
  await store.release('parts', 'one.1')
  await until(() => heard.length === 1, { what: 'the first that waits is told' })
  await store.release('parts', 'one.2')
  await until(() => heard.length === 2, { what: 'the second is' })
  expect(heard).toMatchObject([
    { othersWait: true, canHandOn: true },
    { othersWait: false, canHandOn: true },
  ])
  await store.release('parts', 'one.3')
  expect(await acquire('one.4', 'counted')).toMatchObject({ status: 'granted', othersWait: false, canHandOn: true })
  await store.release('parts', 'one.4')
  await leave()
}
