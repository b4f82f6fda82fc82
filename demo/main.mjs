// @ts-check
/**
 * `npm run demo`: several workers add to one number in a file, first without a lock and then with it, and one of them is killed while it
 * holds the lock. Exit code 0 when everything was as promised, 1 when something was not, 130 after Ctrl-C.
 */
import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { Screen } from './screen.mjs'
import { readSettings } from './settings.mjs'
import { demonstrate } from './story.mjs'

/** A signal that comes so soon after the first is the same one: npm passes on what the terminal has sent to all. */
const SAME_MS = 500
/** How long after its effects a signal may come. */
const INTERRUPTION_MS = 50

const screen = new Screen(process.stdout, process.env)
/**
 * What is to be undone at the end, the last first.
 *
 * @type {(() => Promise<unknown>)[]}
 */
const undo = []

const exitCode = await Promise.race([tell(), interruption()])
const isTidy = await tidyUp()
process.exit(isTidy ? exitCode : 1)

/** @returns {Promise<number>} the exit code */
async function tell() {
  try {
    const settings = readSettings(process.argv.slice(2), process.env)
    return (await demonstrate(settings, screen, undo)) ? 0 : 1
  } catch (error) {
    // A terminal sends Ctrl-C to all processes, so what fails because of it may be heard of first; then nothing is printed any more.
    await delay(INTERRUPTION_MS)
    screen.settle()
    screen.print(`The demo could not be carried out: ${/** @type {Error} */ (error).message}`, 'red')
    return 1
  }
}

/** @returns {Promise<number>} the exit code, when whoever started the demo has seen enough; a second signal then ends it at once */
function interruption() {
  return new Promise((resolve) => {
    let firstAtMs = Number.POSITIVE_INFINITY
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
      const code = 128 + constants.signals[signal]
      process.on(signal, () => {
        if (performance.now() > firstAtMs + SAME_MS) process.exit(code)
        if (firstAtMs < Number.POSITIVE_INFINITY) return
        firstAtMs = performance.now()
        screen.settle()
        screen.print('Interrupted: tidying up.')
        screen.end()
        resolve(code)
      })
    }
    // Nobody reads any more: `npm run demo | head`.
    process.stdout.on('error', () => {
      screen.end()
      resolve(128 + constants.signals.SIGPIPE)
    })
  })
}

/** @returns {Promise<boolean>} whether nothing is left behind */
async function tidyUp() {
  let isTidy = true
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
    try {
      await step()
    } catch (error) {
      isTidy = false
      console.error(`The demo could not tidy up: ${/** @type {Error} */ (error).message}`)
    }
  }
  return isTidy
}
