// CPU of a relay per connection that is opened, used for one request, and closed.
import { cpuTime, pause } from '../lib/processes.js'
import { inTurn, ratio, summary } from '../lib/statistics.js'
import { visits } from './load.js'
import { installedProxies, startAll, stopAll } from './proxies.js'

const parallel = 16
const count = 300
const turns = 3

export const connections = {
  name: 'connections',
  line: 'CPU per connection that is opened, used once and closed, beside a.pipe(b)',
  rounds: 21,
  how: `Each connection sends one request, gets 130 B and ends. ${parallel} at a time; in each round each proxy takes ${turns} turns of ${count}.`,

  async run({ rounds, tell }) {
    const proxies = await startAll(installedProxies(tell))
    // More code than a request takes, and run less often: the just-in-time compiler needs a while.
    await inTurn(proxies, 6, cpuPerVisit, { turns })
    const told = (round) => tell(`round ${round} of ${rounds}`)
    const samples = await inTurn(proxies, rounds, cpuPerVisit, { turns, told })
    await stopAll(proxies)
    return {
      figures: [
        {
          figure: 'CPU per opened, used and closed connection, beside a.pipe(b)',
          ...ratio(samples.xps, samples['a.pipe(b)']),
          unit: '×',
          most: 1.15,
        },
      ],
      table: {
        head: ['CPU per connection', '', 'xps / it'],
        rows: Object.entries(samples).map(([name, values]) => [
          name,
          `${summary(values).median.toFixed(0)} µs`,
          name === 'xps' ? '' : ratio(samples.xps, values).median.toFixed(2),
        ]),
      },
    }
  },
}

async function cpuPerVisit({ port, pid }) {
  const before = cpuTime(pid)
  await visits(port, { parallel, count })
  // The last ones are closed towards the upstream a little later.
  await pause(10)
  return (cpuTime(pid) - before) / count
}
