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
 * @property {number} limit `measured` may be this at most
 * @property {string} unit behind both numbers: `×`, `commands a second`
 */

/** @param {Table} table */
export function markdown({ title, columns, rows }) {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? shown(cell) : cell)))
  const widths = columns.map((column, i) => Math.max(3, column.length, ...cells.map((row) => (row[i] ?? '').length)))
  // A column of numbers is read from the right.
  const right = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'))
  const pad = (/** @type {string} */ text, /** @type {number} */ i) => {
    const width = /** @type {number} */ (widths[i])
    return right[i] ? text.padStart(width) : text.padEnd(width)
  }
  const line = (/** @type {readonly string[]} */ row) => `| ${row.map(pad).join(' | ')} |`
  const rule = `|${widths.map((width, i) => (right[i] ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2))).join('|')}|`
  return [...(title === undefined ? [] : [title, '']), line(columns), rule, ...cells.map(line)].join('\n')
}

/** @param {Figure} figure */
export function isReached({ measured, limit }) {
  return measured <= limit
}

/** @param {readonly Figure[]} figures */
export function figureTable(figures) {
  const rows = figures.map((figure) => {
    const { what, measured, limit, unit } = figure
    return [what, `${shown(measured)} ${unit}`, `≤ ${limit} ${unit}`, isReached(figure) ? 'reached' : '**missed**']
  })
  return markdown({ columns: ['figure', 'measured', 'to reach', ''], rows })
}

/** @param {number} value */
function shown(value) {
  if (Number.isInteger(value)) return value.toLocaleString('en')
  const digits = Math.min(3, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))))
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
