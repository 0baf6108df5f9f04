// A figure beside its target, and tables that read well in a terminal and in Markdown alike.

/** The target is the most that it may be, or the least. @typedef {{ figure: string, median?: number, low?: number, high?: number, unit: string, most?: number, least?: number, missing?: string }} Figure */

/** Whether it was measured and its target not reached. */
export function missed({ median, most = Number.POSITIVE_INFINITY, least = Number.NEGATIVE_INFINITY }) {
  return median !== undefined && !(median <= most && median >= least)
}

/** What was measured, what was aimed at, and whether it was reached. */
export function figuresTable(figures) {
  return {
    head: ['Figure', 'measured', 'half of the rounds', 'target', 'reached'],
    rows: figures.map((figure) => {
      const { low, high, unit } = figure
      const target = targetOf(figure)
      if (figure.missing !== undefined) return [figure.figure, figure.missing, '', target, '']
      const spread = low === undefined ? '' : `${round(low, unit)} to ${round(high, unit)}`
      return [figure.figure, `${round(figure.median, unit)}${unit}`, spread, target, missed(figure) ? '**no**' : 'yes']
    }),
  }
}

function targetOf({ most, least, unit }) {
  const bound = most ?? least
  return `${most === undefined ? '≥' : '≤'} ${bound < 10 ? bound.toFixed(2) : bound}${unit}`
}

/** A table in Markdown; the first column is text, the others stand right. */
export function formatTable({ head, rows }) {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((row) => row[column].length)))
  const line = (row) => `| ${row.map((cell, column) => align(cell, widths[column], column)).join(' | ')} |`
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n')
}

function align(cell, width, column) {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}

function round(value, unit) {
  if (unit === '×') return value.toFixed(3)
  return value < 10 ? value.toFixed(2) : value.toFixed(0)
}
