import { expect, test } from 'vitest'
import { CLIENTS, type Topology } from '../../scripts/client-matrix.mjs'
import { clientsPage } from '../../scripts/generate-clients-doc.mjs'
import { clientConformance } from '../../src/testing/client-conformance.js'
import { CLUSTER_LIBRARIES, LIBRARIES, SENTINEL_LIBRARIES } from '../support/libraries.js'
import { read } from './tree.js'

/** The list of clients, the page that is made of it and the tests that run on them say the same. */

test('docs/reference/clients.md is what the list says (npm run docs:clients)', () => {
  expect(read('docs/reference/clients.md')).toBe(clientsPage(clientConformance))
})

test.each([
  ['server', LIBRARIES],
  ['sentinel', SENTINEL_LIBRARIES],
  ['cluster', CLUSTER_LIBRARIES],
] as [Topology, readonly { readonly of?: string }[]][])('all that the list promises is tested: %s', (topology, libraries) => {
  const promised = CLIENTS.filter(({ on }) => typeof on[topology] !== 'string').map(({ id }) => id)
  const tested = new Set(libraries.flatMap(({ of }) => of ?? []))
  expect([...tested].sort()).toEqual(promised.sort())
})
