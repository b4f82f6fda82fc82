// @ts-check
// Runs the conformance, integration and fault tests once for each way of working that a program can choose. `npm test` runs them in the first.
//
//   node scripts/test-modes.mjs [<mode> …]

import { spawnSync } from 'node:child_process'

/** @type {Record<string, object>} */
const MODES = {
  'as by default': {},
  'no hand-over': { handOverLimit: 0 },
  'no batching': { batchLimit: 1 },
  neither: { handOverLimit: 0, batchLimit: 1 },
}

const chosen = process.argv.slice(2)
const unknown = chosen.filter((mode) => !(mode in MODES))
if (unknown.length > 0) {
  console.error(`there is no mode ${unknown.join(', ')}; there are: ${Object.keys(MODES).join(', ')}`)
  process.exit(2)
}

for (const [mode, options] of Object.entries(MODES)) {
  if (chosen.length > 0 && !chosen.includes(mode)) continue
  console.log(`\n== ${mode}`)
  const env = { ...process.env, HALOCKSMITH_TEST_OPTIONS: JSON.stringify(options) }
  const { status } = spawnSync('npx', ['vitest', 'run', 'test/conformance', 'test/integration', 'test/faults'], { env, stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}
