// @ts-check
/** A program of 2013 whose callbacks misbehave as SCENARIO says. Tells what reached the process. */
const halocksmith = require('halocksmith')

const { REDIS_ADDRESS: address = '', SCENARIO: scenario = '' } = process.env
const lock = halocksmith({ nodes: [address], timeout: 0.2, retries: 0 })
/** @type {string[]} */
const seen = []

process.on('uncaughtException', (error) => seen.push(`uncaughtException ${error.message}`))
process.on('unhandledRejection', (error) => seen.push(`unhandledRejection ${error}`))
process.on('warning', (warning) => seen.push(`warning ${warning.message}`))

// Waiting for a loss keeps no process alive.
const alive = setInterval(() => {}, 1_000)
const done = () => {
  clearInterval(alive)
  process.send?.({ type: 'done', seen })
}
/** @param {any} release */
const afterLoss = (release) => new Promise((resolve) => release.signal.addEventListener('abort', resolve, { once: true }))

/** @type {Record<string, () => void>} */
const scenarios = {
  'throws with the lock'() {
    lock('k', () => {
      setTimeout(done, 20)
      throw new Error('mine')
    })
  },
  'throws without the lock'() {
    lock('k', () => {
      lock('k', () => {
        setTimeout(done, 20)
        throw new Error('mine')
      })
    })
  },
  'throws at the release'() {
    lock('k', (_error, release) => {
      release?.(() => {
        setTimeout(done, 20)
        throw new Error('mine')
      })
    })
  },
  'throws at a late release'() {
    lock('k', async (_error, release) => {
      await afterLoss(release)
      release?.(() => {
        setTimeout(done, 20)
        throw new Error('mine')
      })
    })
  },
  'releases late without a callback'() {
    lock('k', async (_error, release) => {
      await afterLoss(release)
      release?.()
      release?.()
      setTimeout(done, 20)
    })
  },
  'releases late with something that is no callback'() {
    lock('k', async (_error, release) => {
      await afterLoss(release)
      release?.(/** @type {any} */ ('later'))
      setTimeout(done, 20)
    })
  },
}

scenarios[scenario]?.()
