// @ts-check
/** What the workers are doing, in words and bars. */

const BAR_WIDTH = 20
/** Every worker's locksmith is named after it, and that name comes back from a query. */
const NAME = /^worker (\d+)$/

/**
 * @typedef {object} Picture what can be seen from outside at one moment
 * @property {readonly number[]} counts
 * @property {number} increments
 * @property {import('halocksmith').LockInfo[]} held
 * @property {import('halocksmith').LockInfo[]} pending
 * @property {number | undefined} killed which worker was killed
 */

/**
 * @param {Picture} picture
 * @param {import('./screen.mjs').Screen} screen
 * @returns {string[]} a line for each worker
 */
export function workerLines(picture, screen) {
  const { counts, increments } = picture
  return counts.map((count, index) => {
    const filled = Math.round((count / increments) * BAR_WIDTH)
    const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]`
    const share = `${count}/${increments}`.padStart(`${increments}/${increments}`.length)
    const [state, colour] = stateOf(index + 1, picture)
    return `  worker ${index + 1}  ${bar}  ${share}  ${screen.paint(state, colour)}`.trimEnd()
  })
}

/**
 * @param {Picture} picture
 * @returns {string} the same in one line, for where nothing can be redrawn
 */
export function shortLine({ counts, held: [holding], pending, killed }) {
  const dead = holding !== undefined && workerOf(holding) === killed
  const holder = holding === undefined ? '' : `, ${dead ? 'the killed ' : ''}${holding.label} ${dead ? 'still ' : ''}holds`
  const queue = pending.length === 0 ? '' : `, ${pending.length} wait`
  return `  so far ${counts.join(' + ')}${holder}${queue}`
}

/**
 * @param {number} ms
 * @returns {string} `25 ms`, `1.25 s`
 */
export function duration(ms) {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`
}

/**
 * @param {number} worker
 * @param {Picture} picture
 * @returns {[text: string, colour?: import('./screen.mjs').Colour]}
 */
function stateOf(worker, { counts, increments, held, pending, killed }) {
  const holding = held.find((info) => workerOf(info) === worker)
  if (worker === killed) return holding ? [`killed, lease ends in ${duration(holding.expiresInMs ?? 0)}`, 'red'] : ['killed', 'red']
  if (counts[worker - 1] === increments) return ['done', 'dim']
  if (holding) return [`holds, token ${holding.fencingToken}`, 'green']
  const waiting = pending.find((info) => workerOf(info) === worker)
  if (!waiting) return ['']
  const place = waiting.position === 1 ? 'next' : `number ${waiting.position} in line`
  return [`waits ${duration(waiting.waitingMs ?? 0)}, ${place}`, 'dim']
}

/** @param {import('halocksmith').LockInfo} info */
function workerOf({ label = '' }) {
  return Number(NAME.exec(label)?.[1])
}
