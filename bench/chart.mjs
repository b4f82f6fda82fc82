// @ts-check
// Draws the comparison again from numbers that were measured before:
//
//   node bench/chart.mjs numbers.json docs/comparison.svg

import { readFileSync, writeFileSync } from 'node:fs'
import { drawChart } from './harness/chart.mjs'

const [from, to] = process.argv.slice(2)
if (from === undefined || to === undefined) {
  console.error('node bench/chart.mjs <numbers.json> <chart.svg>')
  process.exitCode = 2
} else {
  writeFileSync(to, drawChart(JSON.parse(readFileSync(from, 'utf8'))))
}
