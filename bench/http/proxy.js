// CPU per request of a reverse proxy, for small and for large responses, beside other reverse proxies.
import { inTurn, median, ratio } from '../lib/statistics.js'
import { cpuPerRequest, warmUp } from './cost.js'
import { answers } from './messages.js'
import { haproxy, installed, nginx, peers, peerVersions, pipelined, startProxies, stopAll, xps } from './servers.js'

const clients = 32
const turns = 3
const best = 'the best of Node.js'
const sizes = [
  { title: '130 B', expected: answers.small, requests: 4_000, most: { nginx: 1.5, [best]: 0.4 } },
  { title: '100 KB', expected: answers.large, requests: 800, most: { nginx: 0.6 } },
]

export const httpProxy = {
  name: 'http-proxy',
  line: 'CPU per request of a reverse proxy, beside nginx, HAProxy and proxies for Node.js',
  rounds: 21,
  how: `${clients} connections, and as many to the upstream, are kept; each sends a request as a browser does (534 bytes, 12
fields) when the last answer is whole. Each proxy has an upstream of its own. In each round each proxy takes ${turns} turns of
${sizes.map((size) => `${size.requests.toLocaleString('en')} requests (${size.title})`).join(' and ')}. Sizes are those of the bodies. nginx: one worker, \`keepalive 256\`, HTTP/1.1 to
the upstream, no access log, all else as by default. HAProxy: \`mode http\`, one thread. Libraries for Node.js that do not
keep connections to the upstream by themselves have an agent that does: ${peerVersions(peers)}. "xps, pipelined" has \`pipeline: 64\` for its
upstream, which is measured for 130 B only.`,

  async run({ rounds, quick, tell }) {
    const proxies = await startProxies(installed([xps, pipelined, nginx, haproxy, ...peers], tell))
    const inRound = quick ? 1 : turns
    const results = []
    for (const size of sizes) {
      const chosen = size.expected === answers.small ? proxies : proxies.filter(({ name }) => name !== pipelined.name)
      const measure = (proxy) => cpuPerRequest(proxy, { ...size, clients })
      await inTurn(chosen, warmUp(quick), measure, { turns: inRound })
      const told = (round) => tell(`${size.title}, round ${round} of ${rounds}`)
      const samples = await inTurn(chosen, rounds, measure, { turns: inRound, told })
      results.push({ size, samples })
    }
    await stopAll(proxies)
    return { figures: figures(results), table: table(results), bars: bars(results) }
  },
}

function figures(results) {
  const [{ samples }] = results
  return [
    ...results.flatMap(({ size, samples }) =>
      Object.entries(size.most).map(([theirs, most]) => {
        const name = theirs === best ? bestPeer(samples) : theirs
        return figure(
          size,
          theirs === best && name !== undefined ? `${best}, ${name}` : theirs,
          most,
          samples,
          xps.name,
          name,
        )
      }),
    ),
    figure(sizes[0], 'nginx, pipelined to the upstream', 1, samples, pipelined.name, nginx.name),
  ]
}

function figure({ title }, beside, most, samples, ours, theirs) {
  const measured = samples[theirs] === undefined ? { missing: 'not installed' } : ratio(samples[ours], samples[theirs])
  return { figure: `Reverse proxy, CPU per request (${title}), beside ${beside}`, ...measured, unit: '×', most }
}

/** The name of the library for Node.js that costs least. */
function bestPeer(samples) {
  const names = peers.map(({ name }) => name).filter((name) => samples[name] !== undefined)
  return names.sort((a, b) => median(samples[a]) - median(samples[b]))[0]
}

function table(results) {
  return {
    head: ['CPU per request', ...results.flatMap(({ size }) => [size.title, 'xps / it'])],
    rows: Object.keys(results[0].samples).map((name) => [
      name,
      ...results.flatMap(({ samples }) => {
        if (samples[name] === undefined) return ['', '']
        const cost = `${median(samples[name]).toFixed(1)} µs`
        return [cost, name === xps.name ? '' : ratio(samples.xps, samples[name]).median.toFixed(2)]
      }),
    ]),
  }
}

/** Without what is too much for a picture: of fast-proxy, only the better half. */
function bars(results) {
  const labels = {
    'fast-proxy (http)': undefined,
    'fast-proxy (undici)': 'fast-proxy',
    '@fastify/http-proxy': 'fastify',
  }
  return results.map(({ size, samples }) => ({
    title: `${size.title} responses`,
    axis: 'CPU per request, µs (shorter is better)',
    values: Object.entries(samples).flatMap(([name, values]) => {
      const label = name in labels ? labels[name] : name
      return label === undefined ? [] : [{ name: label, value: median(values), ours: name.startsWith(xps.name) }]
    }),
  }))
}
