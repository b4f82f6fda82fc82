// @ts-check
// Makes the certificates in test/support/tls/, which the tests of TLS use: of an authority, of a server on 127.0.0.1 and localhost, and of a
// client, all signed by that authority; and of an authority that signed none of them. For a hundred years, so that no test fails for its date.
//
//   node scripts/tls-fixtures.mjs            needs openssl
//
// The keys are no secrets: nothing but the tests trusts them.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const TARGET = fileURLToPath(new URL('../test/support/tls/', import.meta.url))
const DAYS = '36500'
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

const scratch = mkdtempSync(join(tmpdir(), 'halocksmith-tls-'))
const openssl = (/** @type {string[]} */ ...args) => execFileSync('openssl', args, { cwd: scratch, stdio: ['ignore', 'ignore', 'pipe'] })
const out = (/** @type {string} */ name) => join(TARGET, name)

/** @param {string} name */
function authority(name) {
  openssl(
    'req',
    '-x509',
    ...KEY,
    '-days',
    DAYS,
    '-subj',
    `/CN=halocksmith tests ${name}`,
    '-keyout',
    `${name}.key`,
    '-out',
    out(`${name}.pem`),
  )
}

/** @param {string} name @param {string} extensions */
function signed(name, extensions) {
  writeFileSync(join(scratch, 'extensions'), extensions)
  openssl('req', ...KEY, '-subj', `/CN=halocksmith tests ${name}`, '-keyout', out(`${name}.key`), '-out', `${name}.csr`)
  const by = ['-CA', out('authority.pem'), '-CAkey', 'authority.key', '-CAserial', 'serial', '-CAcreateserial', '-extfile', 'extensions']
  openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-days', DAYS, '-out', out(`${name}.pem`))
}

authority('authority')
authority('stranger')
signed('server', 'subjectAltName=IP:127.0.0.1,DNS:localhost')
signed('client', 'extendedKeyUsage=clientAuth')
rmSync(scratch, { recursive: true })
