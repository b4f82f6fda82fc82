// @ts-check
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, platform } from 'node:os'
import { dirname, join } from 'node:path'

/**
 * What the numbers depend on.
 *
 * @typedef {object} Machine
 * @property {number} cores
 * @property {string} cpu
 * @property {string} system
 * @property {number} load how many processes wanted to run in the last minute, before the benchmark began
 * @property {string} node
 * @property {string} server
 * @property {string} client
 */

/**
 * @param {string} server the server program and its version
 * @returns {Machine}
 */
export function describeMachine(server) {
  const cores = cpus()
  return {
    cores: cores.length,
    cpu: cores[0]?.model.trim() ?? 'unknown',
    system: platform(),
    load: loadavg()[0] ?? 0,
    node: process.version.slice(1),
    server,
    client: `@redis/client ${versionOf('@redis/client')}`,
  }
}

/** @param {Machine} machine */
export function machineLine({ cores, cpu, system, load, node, server, client }) {
  return `${cores} cores (${cpu}, ${system}), load ${load.toFixed(1)} before; Node ${node}, ${server} on loopback, ${client}`
}

/**
 * A package need not export its package.json: that lies in a folder above its main file.
 *
 * @param {string} name
 */
function versionOf(name) {
  let folder = dirname(createRequire(import.meta.url).resolve(name))
  for (; folder !== dirname(folder); folder = dirname(folder)) {
    try {
      const found = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      if (found.name === name) return found.version
    } catch {
      // Further up.
    }
  }
  return 'of unknown version'
}
