// @ts-check
/** The worker's end of `processes.ts`: what the test said at the start, and messages both ways. */

/** @typedef {{ type: string, [field: string]: any }} Message */

/** @type {((message: Message) => void)[]} */
const listeners = []
/** Messages that came before anybody listened. @type {Message[]} */
const early = []
let stays = false
/** @type {(args: any) => void} */
let begin = () => {}

/** The test's process is gone, or wants no more of this one. */
process.on('disconnect', () => stays || process.exit())

process.on('message', (/** @type {Message} */ message) => {
  if (message.type === 'args') begin(message.args)
  else if (listeners.length === 0) early.push(message)
  else for (const listener of listeners) listener(message)
})

/**
 * What the test gave to `spawnWorker`.
 *
 * @type {any}
 */
export const args = await new Promise((resolve) => (begin = resolve))

/** @param {Message} message */
export function send(message) {
  if (process.connected) process.send?.(message)
}

/**
 * Calls `listener` for every message; the first listener also gets those that came before it.
 *
 * @param {(message: Message) => void} listener
 */
export function onMessage(listener) {
  listeners.push(listener)
  for (const message of early.splice(0)) listener(message)
}

/** Ends the connection to the test, so that this process ends by itself as soon as nothing else keeps it alive. */
export function leave() {
  stays = true
  process.disconnect()
}

/**
 * An error as the test sees it.
 *
 * @param {any} error
 * @returns {{ name: string, code: string | undefined, message: string }}
 */
export const describeError = (error) => ({ name: `${error?.name}`, code: error?.code, message: `${error?.message ?? error}` })
