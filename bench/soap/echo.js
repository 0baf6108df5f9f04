// What a request and its response cost, beside node-soap over HTTP.
import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inTurn, median, ratio } from '../lib/statistics.js'

const exchanges = 400
const turns = 4
const ours = { name: 'xps/soap', file: new URL('xps-echo.js', import.meta.url) }
const theirs = { name: 'node-soap, HTTP keep-alive', file: new URL('peers/node-soap-echo.js', import.meta.url) }

export const soapEcho = {
  name: 'soap-echo',
  line: 'CPU per request and response of 1 KB, beside node-soap over HTTP',
  rounds: 11,
  how: `Client and server in one process, one connection, one exchange after the other, an order of six lines that comes back.
Each round is ${turns} turns of ${exchanges} exchanges. node-soap: \`npm ci --prefix bench/soap/peers\`.`,

  async run({ rounds, quick, tell }) {
    const figure = 'CPU per exchange, beside node-soap'
    const most = 0.33
    if (!existsSync(new URL('peers/node_modules', import.meta.url))) {
      const head = ['CPU per exchange', '']
      return { figures: [{ figure, most, unit: '×', missing: 'no peers' }], table: { head, rows: [] } }
    }
    const subjects = [await start(ours), await start(theirs)]
    const measure = ({ run }) => run({ count: exchanges, parallel: 1 })
    await inTurn(subjects, quick ? 2 : 8, measure)
    const samples = await inTurn(subjects, rounds, measure, { turns, told: (n) => tell(`round ${n} of ${rounds}`) })
    for (const { end } of subjects) end()
    return {
      figures: [{ figure, ...ratio(samples[ours.name], samples[theirs.name]), unit: '×', most }],
      table: {
        head: ['CPU per exchange', ''],
        rows: Object.entries(samples).map(([name, values]) => [name, `${median(values).toFixed(0)} µs`]),
      },
    }
  },
}

async function start({ name, file }) {
  const child = fork(fileURLToPath(file))
  let ended = (_error) => {}
  child.once('exit', () => ended(new Error(`${name} ended`)))
  const next = () =>
    new Promise((resolve, reject) => {
      child.once('message', resolve)
      ended = reject
    })
  await next()
  const run = (work) => {
    child.send(work)
    return next()
  }
  return { name, run, end: () => child.kill() }
}
