// @ts-check
// Lets servers fail for a minute on each topology, where `npm test` does so for some seconds: processes contend for locks meanwhile, and
// what they did is checked. Names choose topologies; HALOCKSMITH_FAULTS_SECONDS another time, HALOCKSMITH_FAULTS_SEED the same faults again.
//
//   node scripts/test-faults.mjs [<file name> …]

import { spawnSync } from 'node:child_process'

const chosen = process.argv.slice(2)
const files = chosen.length > 0 ? chosen.map((name) => `test/faults/topologies/${name}`) : ['test/faults/topologies']
const env = { HALOCKSMITH_FAULTS_SECONDS: '60', ...process.env }
// One file after the other: the processes of one have the machine to themselves.
const { status } = spawnSync('npx', ['vitest', 'run', '--no-file-parallelism', ...files], { env, stdio: 'inherit' })
process.exitCode = status ?? 1
