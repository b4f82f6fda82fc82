// @ts-check
/**
 * The comparison as a picture: small multiples of horizontal bars, drawn from the numbers that `--json` writes. Its background is its own,
 * so that it can be read wherever it is shown, and follows the reader's choice of light or dark.
 */
import { shown } from './table.mjs'

/**
 * @typedef {object} Report what `--json` writes
 * @property {string} version
 * @property {string} measuredAt
 * @property {import('./machine.mjs').Machine} machine
 * @property {Record<string, any>} workloads
 */

/**
 * @typedef {object} Panel
 * @property {string} workload
 * @property {string} title
 * @property {string} unit
 * @property {'more' | 'less'} better
 * @property {boolean} [log] from 1 on, by decades
 * @property {(one: any) => number | undefined} pick undefined: not shown in this panel
 * @property {(one: any) => string} [note] behind the number
 */

/** @typedef {{ label: string, kind: string, value: number, note: string }} Bar */

/** Who lets one claim have it all is fast, and no good. */
const fairness = (/** @type {any} */ one) => (typeof one.jain === 'number' ? `Jain ${one.jain.toFixed(2)}` : '')

/** @type {readonly Panel[]} */
const PANELS = [
  {
    workload: 'one-process',
    title: 'One hot name, 128 claims in one process',
    unit: 'cycles/s',
    better: 'more',
    pick: (one) => (one.claims === 128 ? one.cyclesPerSecond : undefined),
    note: fairness,
  },
  {
    workload: 'many-processes',
    title: 'One hot name, 8 processes × 4 claims, 1 ms of work',
    unit: 'cycles/s',
    better: 'more',
    pick: (one) => one.cyclesPerSecond,
    note: fairness,
  },
  {
    workload: 'many-processes',
    title: 'The longest wait of these 8 × 4',
    unit: 'ms',
    better: 'less',
    log: true,
    pick: (one) => one.longestWaitMs,
  },
  {
    workload: 'idle-waiters',
    title: '1,000 idle waiters in 8 processes',
    unit: 'commands/s',
    better: 'less',
    log: true,
    pick: (one) => one.sentPerSecond,
  },
  { workload: 'latency', title: 'Nobody else wants it: acquire + release', unit: 'µs, p50', better: 'less', pick: (one) => one.p50Us },
  {
    workload: 'throughput',
    title: 'Nobody else wants them: 256 in flight',
    unit: 'cycles/s',
    better: 'more',
    pick: (one) => (one.inFlight === 256 ? one.cyclesPerSecond : undefined),
  },
]

/** Each library as it comes; the tables have more. */
const CHARTED = ['raw', 'halocksmith', 'raw-ioredis', 'raw-ioredis-pipelining', 'halocksmith-ioredis', 'redlock', 'redis-semaphore']
CHARTED.push('redlock-universal', 'simple-redis-mutex', 'verrou')

const MARGIN = 20
const PANEL_WIDTH = 430
const COLUMNS = 2
const LABEL_WIDTH = 162
/** For the number behind the longest bar, and what stands behind that. */
const VALUE_WIDTH = 110
const BAR_AREA = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH - MARGIN
const TITLE_HEIGHT = 44
const ROW_HEIGHT = 19
const BAR_HEIGHT = 12
/** One that is next to nothing is seen too. */
const THINNEST = 2
const HEAD_HEIGHT = 48
const FOOT_LINE_HEIGHT = 15
const FOOT_LINE_CHARACTERS = 150
const WIDTH = MARGIN + COLUMNS * PANEL_WIDTH

const STYLE = `
  .page { fill: #ffffff; stroke: #d0d7de } .text { fill: #1f2328 } .soft { fill: #59636e } .line { stroke: #d0d7de }
  .ours { fill: #0969da } .theirs { fill: #afb8c1 } .raw { fill: none; stroke: #818b98 }
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif } .head { font-size: 16px; font-weight: 600 }
  .title { font-size: 13px; font-weight: 600 } .small { font-size: 11px } .foot { font-size: 10px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d } .text { fill: #f0f6fc } .soft { fill: #9198a1 } .line { stroke: #3d444d }
    .ours { fill: #4493f8 } .theirs { fill: #656c76 } .raw { stroke: #9198a1 }
  }`

/**
 * @param {Report} report panels of workloads that are not in it are left out
 * @returns {string} an SVG document
 */
export function drawChart(report) {
  const panels = PANELS.flatMap((panel) => {
    const bars = barsOf(panel, report.workloads[panel.workload])
    return bars.length === 0 ? [] : [{ panel, bars }]
  })
  /** @type {string[]} */
  const drawn = []
  let top = HEAD_HEIGHT
  for (let first = 0; first < panels.length; first += COLUMNS) {
    const row = panels.slice(first, first + COLUMNS)
    row.forEach(({ panel, bars }, column) => {
      drawn.push(drawPanel(panel, bars, MARGIN + column * PANEL_WIDTH, top))
    })
    top += TITLE_HEIGHT + Math.max(...row.map(({ bars }) => bars.length)) * ROW_HEIGHT + MARGIN
  }
  const foot = footLines(report)
  const height = top + foot.length * FOOT_LINE_HEIGHT + MARGIN / 2
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>halocksmith ${escaped(report.version)} compared with other libraries</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6"/>`,
    text(MARGIN, 30, 'text head', `halocksmith ${report.version} and other locks in Redis`),
    ...drawn,
    ...foot.map((line, i) => text(MARGIN, top + (i + 0.5) * FOOT_LINE_HEIGHT, 'soft foot', line)),
    '</svg>\n',
  ].join('\n')
}

/**
 * @param {Panel} panel
 * @param {{ contenders?: any[] } | undefined} numbers
 * @returns {Bar[]} the best first
 */
function barsOf({ better, pick, note = () => '' }, numbers) {
  const bars = (numbers?.contenders ?? []).flatMap((one) => {
    const value = CHARTED.includes(one.id) ? pick(one) : undefined
    if (typeof value !== 'number' || !Number.isFinite(value)) return []
    return [{ label: String(one.title), kind: String(one.kind), value, note: note(one) }]
  })
  return bars.sort((a, b) => (better === 'more' ? b.value - a.value : a.value - b.value))
}

/**
 * @param {Panel} panel
 * @param {readonly Bar[]} bars
 * @param {number} left
 * @param {number} top
 */
function drawPanel({ title, unit, better, log = false, note }, bars, left, top) {
  const most = Math.max(...bars.map(({ value }) => value))
  const zero = left + LABEL_WIDTH
  const bottom = top + TITLE_HEIGHT + bars.length * ROW_HEIGHT - 2
  const decades = log ? Array.from({ length: Math.max(1, Math.ceil(Math.log10(most))) + 1 }, (_, i) => 10 ** i) : []
  const lengthOf = (/** @type {number} */ value) =>
    (log ? Math.log10(Math.max(1, value)) / Math.log10(decades.at(-1) ?? 10) : value / most) * BAR_AREA || 0
  const explained = `${unit}${log ? ', log scale' : ''}; ${better} is better${note ? '. Jain index: 1.00 when all claims get the same' : ''}`
  const x = (/** @type {number} */ value) => (zero + lengthOf(value)).toFixed(1)
  return [
    '<g>',
    text(left, top + 14, 'text title', title),
    text(left, top + 30, 'soft small', explained),
    ...decades.map((value) => `<line class="line" x1="${x(value)}" x2="${x(value)}" y1="${top + TITLE_HEIGHT - 6}" y2="${bottom}"/>`),
    ...bars.flatMap((bar, i) => drawBar(bar, zero, top + TITLE_HEIGHT + i * ROW_HEIGHT, Math.max(THINNEST, lengthOf(bar.value)))),
    '</g>',
  ].join('\n')
}

/**
 * @param {Bar} bar
 * @param {number} zero
 * @param {number} top
 * @param {number} length
 */
function drawBar({ label, kind, value, note }, zero, top, length) {
  const base = top + BAR_HEIGHT - 2
  return [
    text(zero - 6, base, kind === 'ours' ? 'text' : 'soft', label, 'end'),
    `<rect class="bar ${escaped(kind)}" x="${zero}" y="${top}" width="${length.toFixed(1)}" height="${BAR_HEIGHT}"/>`,
    text(zero + length + 5, base, 'text small', shown(value >= 100 ? Math.round(value) : value)),
    ...(note === '' ? [] : [text(zero + BAR_AREA + VALUE_WIDTH, base, 'soft small', note, 'end')]),
  ]
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} classes
 * @param {string} content
 * @param {'start' | 'end'} [anchor]
 */
function text(x, y, classes, content, anchor = 'start') {
  return `<text class="${classes}" x="${x.toFixed(1)}" y="${y}"${anchor === 'end' ? ' text-anchor="end"' : ''}>${escaped(content)}</text>`
}

/**
 * When, where and with what.
 *
 * @param {Report} report
 * @returns {string[]}
 */
function footLines({ measuredAt, machine }) {
  const { cores, cpu, node, server, client, libraries } = machine
  const versions = [client, ...Object.entries(libraries).map(([name, version]) => `${name} ${version}`)]
  const words = [
    `Measured ${measuredAt.slice(0, 10)} on ${cores} cores (${cpu}), Node ${node}, ${server} on loopback.`,
    versions.join(', '),
  ]
  const lines = ['']
  for (const word of words.join(' ').split(' ')) {
    const line = `${lines.at(-1)} ${word}`.trim()
    if (line.length > FOOT_LINE_CHARACTERS) lines.push(word)
    else lines[lines.length - 1] = line
  }
  return lines
}

/** @param {string} content */
function escaped(content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
