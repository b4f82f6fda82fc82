import { describe, expect, test } from 'vitest'
import { claimantInfo, clientIdOf, holderInfo, waiterInfo } from '../../src/primitives/lock-info.js'
import type { HolderRecord, WaiterRecord } from '../../src/store/store.js'

const SESSION = 'c2VjcmV0LXNlc3Npb24tMQ'
const claimant = { label: 'worker', host: 'h1', pid: 42 }

const record = {
  name: 'orders',
  id: `${SESSION}.1`,
  mode: 'exclusive' as const,
  permits: 1,
  limit: 1,
  info: claimantInfo(claimant, { job: 'import' }),
  ageMs: 250,
}
const holder = (change: Partial<HolderRecord> = {}) => holderInfo({ ...record, fencingToken: 99, expiresInMs: 750, ...change })
const waiter = (change: Partial<WaiterRecord> = {}) => waiterInfo({ ...record, priority: 3, position: 2, ...change })

describe('a holder', () => {
  test('is shown with all that is known', () => {
    expect(holder()).toEqual({
      name: 'orders',
      mode: 'exclusive',
      permits: 1,
      limit: 1,
      clientId: clientIdOf(record.id),
      label: 'worker',
      host: 'h1',
      pid: 42,
      metadata: { job: 'import' },
      fencingToken: 99,
      heldMs: 250,
      expiresInMs: 750,
    })
  })

  test('of a semaphore has the limit, a reader has none', () => {
    expect(holder({ mode: 'counted', permits: 2, limit: 5 })).toMatchObject({ mode: 'shared', permits: 2, limit: 5 })
    expect(holder({ mode: 'counted', limit: 0 })).toMatchObject({ mode: 'shared', limit: null })
  })
})

test('a waiter is shown with its place', () => {
  const info = waiter()
  expect(info).toMatchObject({ name: 'orders', waitingMs: 250, position: 2, priority: 3, label: 'worker' })
  expect(info).not.toHaveProperty('fencingToken')
  expect(info).not.toHaveProperty('heldMs')
})

describe('the client id', () => {
  test('is the same for all claims of a locksmith, and another for others', () => {
    expect(clientIdOf(`${SESSION}.1`)).toBe(clientIdOf(`${SESSION}.zz`))
    expect(clientIdOf(`${SESSION}x.1`)).not.toBe(clientIdOf(`${SESSION}.1`))
  })

  test('does not tell the session, with which one could speak for its claims', () => {
    expect(JSON.stringify([holder(), waiter()])).not.toContain(SESSION)
    expect(clientIdOf(record.id)).toMatch(/^[\w-]{16}$/)
  })
})

describe('what stands in the server about a claimant was written by anybody', () => {
  const plain = { name: 'orders', mode: 'exclusive', permits: 1, limit: 1, clientId: clientIdOf(record.id) }

  test.each(['', 'x', 'null', '5', '"x"', '{}', '[', '[5,"x",7,"y"]', '[null,null,null,null]', '{"label":"a"}'])(
    '%j shows as nothing',
    (info) => {
      expect(waiter({ info })).toEqual({ ...plain, waitingMs: 250, position: 2, priority: 3 })
    },
  )

  test.each(['{"a":1}', 'null', '["a"]', '{"a":{"b":"c"}}', '"x"'])('metadata that is no record of texts is left out: %s', (metadata) => {
    expect(holder({ info: `["h",1,"a",${metadata}]` })).not.toHaveProperty('metadata')
  })

  test('what is right of it is kept', () => {
    expect(holder({ info: '["h","1","a",{},"forged"]' })).toMatchObject({ host: 'h', label: 'a', metadata: {}, clientId: plain.clientId })
    expect(holder({ info: '["h","1","a"]' })).not.toHaveProperty('pid')
  })

  test('a key __proto__ changes no prototype', () => {
    const { metadata } = holder({ info: '["h",1,"a",{"__proto__":"x","a":"b"}]' })
    expect(Object.getPrototypeOf(metadata)).toBe(Object.prototype)
    expect(Object.keys(metadata ?? {})).toEqual(['__proto__', 'a'])
  })
})

describe('what is written of a claimant', () => {
  test.each([
    [undefined, undefined],
    ['worker', undefined],
    [undefined, { a: 'b\nc' }],
    ['worker', { a: 'b' }],
    ['', {}],
  ])('is read back: label %j, metadata %j', (label, metadata) => {
    const info = claimantInfo({ label, host: 'h', pid: 1 }, metadata)
    expect(info).not.toContain('\n')
    const { label: foundLabel, host, pid, metadata: foundMetadata } = holder({ info })
    expect({ label: foundLabel, host, pid, metadata: foundMetadata }).toEqual({ label, host: 'h', pid: 1, metadata })
  })

  test('is short where nothing is to be said', () => {
    expect(claimantInfo({ label: undefined, host: 'h', pid: 1 })).toBe('["h",1]')
  })
})
