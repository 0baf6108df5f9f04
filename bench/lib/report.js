// Writes docs/benchmarks.md and its pictures from the newest results of each benchmark (docs/benchmarks/results.json).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { drawBars } from './chart.js'
import { figuresTable, formatTable } from './figures.js'

const docs = new URL('../../docs/', import.meta.url)
const folder = new URL('benchmarks/', docs)
const resultsFile = new URL('results.json', folder)

/** Puts the results of one benchmark in the place of its last ones; the names of all tell in which order they stand. */
export function writeReport(result, order) {
  mkdirSync(folder, { recursive: true })
  const results = { ...readResults(), [result.name]: result }
  writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`)
  const sections = order.flatMap((name) => (results[name] === undefined ? [] : [results[name]]))
  for (const { name, bars } of sections) {
    if (bars !== undefined) writeFileSync(new URL(`${name}.svg`, folder), drawBars(bars))
  }
  writeFileSync(new URL('benchmarks.md', docs), page(sections))
}

function readResults() {
  try {
    return JSON.parse(readFileSync(resultsFile, 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT') return {}
    throw error
  }
}

function page(sections) {
  return `# Benchmarks

Written by \`npm run bench -- all\`; do not edit.

${formatTable(figuresTable(sections.flatMap(({ figures }) => figures)))}

A ratio (×) is ours over theirs. CPU is user and system time of the proxy's processes, all threads, as the operating
system accounts for it. The proxies take short turns, each before an upstream of its own, in an order that changes; each
round gives one ratio, and the figure is the median of the rounds. The third column tells between which values the
middle half of them lie. Every answer is checked, byte by byte. All traffic is on 127.0.0.1. nginx runs with
\`worker_processes 1\`, HAProxy with \`mode tcp\`, \`nbthread 1\` and \`option splice-auto\`, the two relays in
Node.js as \`node FILE\` without options. Run it while the machine does nothing else: other work costs a large program
more than a small one, because it empties the caches, and the ratios to nginx and HAProxy rise with it.

${sections.map(section).join('\n\n')}

## Run it yourself

\`\`\`sh
npm run bench               # what there is
npm run bench -- relay      # one of them, and this page is written anew
npm run bench -- all --strict
\`\`\`

It needs Linux. nginx, HAProxy and Redis take part if they are installed:
\`apt-get install nginx libnginx-mod-stream haproxy redis-server\`.
`
}

function section({ name, line, how, rounds, date, machine, versions, table, bars }) {
  const picture =
    bars === undefined ? '' : `\n![${bars[0].axis ?? 'CPU per response, shorter is better'}](benchmarks/${name}.svg)\n`
  return `## ${name}: ${line}
${picture}
${formatTable(table)}

${how}

${rounds} rounds on ${date}, ${versions}; ${machine}.`
}
