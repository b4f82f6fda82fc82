// @ts-check
import { cpus, loadavg, platform } from 'node:os'
import { clientVersion, versionOf, wantedPackages } from './packages.mjs'

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
 * @property {Record<string, string>} libraries what it is compared with, as far as installed, and the clients that these need
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
    client: `@redis/client ${clientVersion()}`,
    libraries: Object.fromEntries(
      Object.keys(wantedPackages()).flatMap((name) => {
        const version = versionOf(name)
        return version === undefined ? [] : [[name, version]]
      }),
    ),
  }
}

/** @param {Machine} machine */
export function machineLine({ cores, cpu, system, load, node, server, client, libraries }) {
  const versions = [client, ...Object.entries(libraries).map(([name, version]) => `${name} ${version}`)]
  return `${cores} cores (${cpu}, ${system}), load ${load.toFixed(1)} before; Node ${node}, ${server} on loopback, ${versions.join(', ')}`
}
