// @ts-check
/** redlock 5 beta, the most used of them. It asks again every 200 to 300 ms, ten times, and then gives up with an error. */
import { setTimeout as delay } from 'node:timers/promises'
import Redis from 'ioredis'
import Redlock from 'redlock'

const TTL_MS = 30_000
/** What it waits between two attempts where it is tuned: this, give or take the jitter. */
const TUNED = { retryDelay: 3, retryJitter: 2 }

/**
 * @param {readonly string[]} urls of one server, or of several independent ones
 * @param {object} [settings]
 */
function open(urls, settings = {}) {
  const clients = urls.map((url) => new Redis(url))
  const redlock = new Redlock(clients, settings)
  // Without a listener, a busy lock would end the process.
  redlock.on('error', () => {})
  const close = async () => {
    for (const client of clients) client.disconnect()
  }
  return { redlock, close }
}

/**
 * @param {readonly string[]} urls
 * @param {object} [settings]
 * @returns {import('./index.mjs').Locker}
 */
function lockerOn(urls, settings) {
  const { redlock, close } = open(urls, settings)
  return { acquire: (name, { ttlMs = TTL_MS } = {}) => redlock.acquire([name], ttlMs), close }
}

/** @param {string} url */
export async function connect(url) {
  return lockerOn([url])
}

/**
 * With what helps it where many want a name: asking again soon, as long as it takes.
 *
 * @param {string} url
 */
export async function connectTuned(url) {
  return lockerOn([url], { retryCount: -1, ...TUNED })
}

/** @param {readonly string[]} urls */
export async function connectQuorum(urls) {
  return lockerOn(urls)
}

/**
 * The same on several servers, but that each attempt is one of its own: only when it gives up it takes back what it was granted by too few,
 * so that one with attempts without end stands still until the lease ends as soon as nobody has a majority.
 *
 * @param {readonly string[]} urls
 * @returns {Promise<import('./index.mjs').Locker>}
 */
export async function connectQuorumTuned(urls) {
  const { redlock, close } = open(urls, { retryCount: 0 })
  const { retryDelay, retryJitter } = TUNED
  let waves = 0
  return {
    async acquire(name, { ttlMs = TTL_MS } = {}) {
      for (const wave = waves; ; ) {
        try {
          return await redlock.acquire([name], ttlMs)
        } catch (error) {
          if (wave !== waves) throw error
          await delay(retryDelay + (2 * Math.random() - 1) * retryJitter)
        }
      }
    },
    async giveUp() {
      waves++
    },
    close,
  }
}
