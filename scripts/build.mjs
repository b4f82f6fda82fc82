// @ts-check
// Builds dist/: the Lua module, CommonJS code and types (tsc), then the ES module facades.
//
//   node scripts/build.mjs [--quiet]
//
// The work is done in a folder of its own which replaces dist/ at the end, so that neither a failed build nor two at once leave half a
// dist/ to somebody who is using it.

import { spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeFacades } from './facades.mjs'
import { bringUpToDate } from './generate-lua.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const startedMs = performance.now()

// On CI a stale module is an error: nobody would commit what is written there.
if (!bringUpToDate({ check: Boolean(process.env.CI) }) && process.env.CI) {
  console.error('src/store/redis/scripts.generated.ts is stale: run npm run build and commit it')
  process.exit(1)
}

const work = join(root, `dist.${process.pid}`)
process.on('exit', () => rmSync(work, { recursive: true, force: true }))

const tsc = join(root, 'node_modules/typescript/bin/tsc')
const { status } = spawnSync(process.execPath, [tsc, '-p', root, '--outDir', work], { stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)

writeFacades(root, work)
replaceDist()
if (!process.argv.includes('--quiet')) console.log(`built dist/ in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)

function replaceDist() {
  const dist = join(root, 'dist')
  const old = `${work}.old`
  if (existsSync(dist)) renameSync(dist, old)
  renameSync(work, dist)
  rmSync(old, { recursive: true, force: true })
}
