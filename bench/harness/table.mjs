// @ts-check
/** Prints results as Markdown. */

/**
 * @typedef {object} Table
 * @property {string} [title] a line above the table
 * @property {readonly string[]} columns
 * @property {readonly (readonly (string | number)[])[]} rows a number is shown with about three significant digits
 */

/**
 * A number that has to be reached, and what was measured.
 *
 * @typedef {object} Figure
 * @property {string} what
 * @property {number} measured
 * @property {number} [limit] `measured` may be this at most
 * @property {number} [atLeast] or it has to be this at least
 * @property {string} unit behind both numbers: `×`, `commands a second`
 */

/** @param {Table} table */
export function markdown({ title, columns, rows }) {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? shown(cell) : cell)))
  const widths = columns.map((column, i) => Math.max(3, column.length, ...cells.map((row) => (row[i] ?? '').length)))
  // A column of numbers is read from the right.
  const right = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number') && rows.every((row) => isNumeric(row[i])))
  const pad = (/** @type {string} */ text, /** @type {number} */ i) => {
    const width = /** @type {number} */ (widths[i])
    return right[i] ? text.padStart(width) : text.padEnd(width)
  }
  const line = (/** @type {readonly string[]} */ row) => `| ${row.map(pad).join(' | ')} |`
  const rule = `|${widths.map((width, i) => (right[i] ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2))).join('|')}|`
  return [...(title === undefined ? [] : [title, '']), line(columns), rule, ...cells.map(line)].join('\n')
}

/** @param {Figure} figure */
export function isReached({ measured, limit = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY }) {
  return measured <= limit && measured >= atLeast
}

/** @param {readonly Figure[]} figures */
export function figureTable(figures) {
  const rows = figures.map((figure) => {
    const { what, measured, limit, atLeast, unit } = figure
    const bound = limit === undefined ? `≥ ${atLeast}` : `≤ ${limit}`
    return [what, `${shown(measured)} ${unit}`.trim(), `${bound} ${unit}`.trim(), isReached(figure) ? 'reached' : '**missed**']
  })
  return markdown({ columns: ['figure', 'measured', 'to reach', ''], rows })
}

/** What stands in a column of numbers where there is none. */
export const NONE = '-'

/** @param {string | number | undefined} cell */
function isNumeric(cell) {
  return typeof cell === 'number' || cell === NONE
}

/**
 * With about three significant digits.
 *
 * @param {number} value
 */
export function shown(value) {
  if (!Number.isFinite(value)) return NONE
  if (Number.isInteger(value)) return value.toLocaleString('en')
  const digits = Math.min(3, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))))
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
