// What a hook that does nothing costs a request.
import { inTurn, median, ratio } from '../lib/statistics.js'
import { cpuPerRequest, warmUp } from './cost.js'
import { answers } from './messages.js'
import { hooked, startProxies, stopAll, xps } from './servers.js'

const size = { expected: answers.small, clients: 32, requests: 4_000 }
const turns = 8

export const httpHook = {
  name: 'http-hook',
  line: 'CPU per request of a reverse proxy with a hook that does nothing, beside one without',
  rounds: 21,
  how: `As above, with responses of 130 B. Two processes that run the same code differ by a few percent for as long as they
live, so each round has two new ones, which take ${turns} turns of ${size.requests.toLocaleString('en')} requests each.`,

  async run({ rounds, quick, tell }) {
    const samples = { [xps.name]: [], [hooked.name]: [] }
    for (let round = 0; round < rounds; round++) {
      // Nor is it always the same that was started first.
      const proxies = await startProxies(round % 2 === 0 ? [xps, hooked] : [hooked, xps])
      const measure = (proxy) => cpuPerRequest(proxy, size)
      await inTurn(proxies, warmUp(quick) * 3, measure)
      const measured = await inTurn(proxies, 1, measure, { turns })
      for (const name of Object.keys(samples)) samples[name].push(...measured[name])
      await stopAll(proxies)
      tell(`round ${round + 1} of ${rounds}`)
    }
    return {
      figures: [
        {
          figure: 'CPU per request with a hook that does nothing, beside none',
          ...ratio(samples[hooked.name], samples[xps.name]),
          unit: '×',
          most: 1.03,
        },
      ],
      table: {
        head: ['CPU per request', ''],
        rows: Object.entries(samples).map(([name, values]) => [name, `${median(values).toFixed(2)} µs`]),
      },
    }
  },
}
