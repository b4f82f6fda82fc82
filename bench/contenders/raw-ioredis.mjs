// @ts-check
/** The raw limit on ioredis: with its defaults, and with its own pipelining, which it has to be asked for. */
import Redis from 'ioredis'
import { rawLocker } from './raw-locker.mjs'

/**
 * @param {string} url
 * @param {object} [settings]
 */
export function connect(url, settings = {}) {
  const redis = new Redis(url, { lazyConnect: true, ...settings })
  return rawLocker({
    connect: () => redis.connect(),
    sendCommand: ([name = '', ...args]) => redis.call(name, ...args),
    destroy: () => redis.disconnect(),
  })
}

/** @param {string} url */
export function connectPipelining(url) {
  return connect(url, { enableAutoPipelining: true })
}
