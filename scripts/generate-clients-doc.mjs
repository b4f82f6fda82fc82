// @ts-check
/**
 * Writes `docs/reference/clients.md` from the list that the tests use, with the cases that the conformance suite leaves out. With `--check` it
 * writes nothing and fails when the file is another. It needs the built package.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { CLIENTS } from './client-matrix.mjs'

/** @typedef {import('./client-matrix.mjs').Support} Support */
/** @typedef {import('./client-matrix.mjs').Topology} Topology */

/** @type {Record<Topology, string>} */
const TOPOLOGIES = { server: 'one server', sentinel: 'Sentinel', cluster: 'Cluster' }
const WOKEN = { publish: 'PUBLISH', spublish: 'SPUBLISH and PUBLISH', none: 'polls' }

const INTRO = `# Clients that you make

<!-- Made by scripts/generate-clients-doc.mjs from scripts/client-matrix.mjs: change that, and run \`npm run docs:clients\`. -->

Pass a client of yours as \`client\` (in the callback API \`redisClient\`). It is used and never closed, and the process lives as long as your own
connection lets it. The table says how a waiter's process is woken there; every cell with such a word is run by the tests, on real servers.
`

const WAYS = `- **PUBLISH**: a waiter hears of its turn at once.
- **SPUBLISH and PUBLISH**: likewise on a Cluster. SPUBLISH is used for a name as soon as its sharded channel stands; where the servers are older
  than version 7, or the user has no right to it, PUBLISH does.
- **polls**: nothing can wake it. A waiter asks five times a second.
- **no**: the reason is below.
`

/**
 * @param {(harness: any, wake: Support['wake']) => readonly { name: string, skip?: string | undefined }[]} clientConformance
 * @returns {string} the page
 */
export function clientsPage(clientConformance) {
  const topologies = /** @type {Topology[]} */ (Object.keys(TOPOLOGIES))
  const lines = [INTRO, row(['client', ...Object.values(TOPOLOGIES)]), row(['---', '---', '---', '---'])]
  for (const { packages, on } of CLIENTS) lines.push(row([packages, ...topologies.map((topology) => cell(on[topology]))]))
  lines.push('', WAYS, '## One by one')
  for (const { packages, on, traps } of CLIENTS) {
    lines.push('', `### ${packages}`, '')
    for (const topology of topologies) lines.push(`- **${TOPOLOGIES[topology]}**: ${described(on[topology])}.`)
    lines.push(...traps.map((trap) => `- ${trap}`))
  }
  lines.push(
    '',
    '## What the tests leave out',
    '',
    'The cases of `clientConformance` that a client can not pass, each with its reason.',
    '',
  )
  for (const [reason, { names, where }] of leftOut(clientConformance)) {
    lines.push(`- **${reason}** (${[...where].join('; ')}):`, ...Array.from(names, (name) => `  - ${name}`))
  }
  return `${lines.join('\n')}\n`
}

/** @param {readonly string[]} cells */
const row = (cells) => `| ${cells.join(' | ')} |`

/** @param {Support | string} support */
const cell = (support) => (typeof support === 'string' ? 'no' : WOKEN[support.wake])

/** @param {Support | string} support */
function described(support) {
  if (typeof support === 'string') return `no: ${support}`
  const { wake, hears, resends, silent, notOnNode } = support
  const words = [wake === 'none' ? 'it can not hear messages' : `messages are heard on ${hears}`]
  if (resends) words.push('it sends unanswered commands again after a loss, which our requests allow for')
  if (silent) words.push('it tells nobody of a lost connection, which is seen when a command fails')
  if (notOnNode) words.push(`not on Node ${notOnNode.replace(':', ' and later:')}`)
  return words.join('; ')
}

/**
 * @param {Parameters<typeof clientsPage>[0]} clientConformance
 * @returns {Map<string, { names: Set<string>, where: Set<string> }>} by reason
 */
function leftOut(clientConformance) {
  const found = new Map()
  for (const { packages, on } of CLIENTS) {
    for (const [topology, support] of Object.entries(on)) {
      if (typeof support === 'string') continue
      const isCluster = topology === 'cluster'
      for (const { name, skip } of clientConformance({ ...support, isCluster }, support.wake)) {
        if (skip === undefined) continue
        const entry = found.get(skip) ?? { names: new Set(), where: new Set() }
        found.set(skip, entry)
        entry.names.add(name)
        entry.where.add(isCluster && skip.startsWith('on a Cluster') ? 'all of them' : packages)
      }
    }
  }
  return found
}

/** @returns {Promise<void>} */
async function main() {
  const { clientConformance } = await import(new URL('../dist/testing/index.mjs', import.meta.url).href)
  const file = new URL('../docs/reference/clients.md', import.meta.url)
  const page = clientsPage(clientConformance)
  if (!process.argv.includes('--check')) return writeFileSync(file, page)
  if (readFileSync(file, 'utf8') === page) return
  console.error('docs/reference/clients.md is not what scripts/client-matrix.mjs says: run npm run docs:clients')
  process.exitCode = 1
}

if (process.argv[1] === new URL(import.meta.url).pathname) await main()
