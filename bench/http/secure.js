// CPU per request of a reverse proxy that ends TLS: HTTPS/1.1 and HTTP/2.
import { certificate } from '../lib/certificate.js'
import { inTurn, median, ratio } from '../lib/statistics.js'
import { cpuPerRequest, warmUp } from './cost.js'
import { cpuPerH2Request, h2loadMissing } from './h2load.js'
import { answers } from './messages.js'
import { startNginxProxy } from './nginx.js'
import { installed, nginx, peer, pipelined, startProxies, stopAll, xps } from './servers.js'

const turns = 3
const kinds = [
  {
    title: 'HTTPS/1.1',
    measure: (proxy) => cpuPerRequest(proxy, { expected: answers.small, requests: 4_000, clients: 32, secure: true }),
    most: { nginx: 1.6 },
  },
  {
    title: 'HTTP/2',
    measure: (proxy) => cpuPerH2Request(proxy, { expected: answers.small, requests: 32_000, clients: 16, streams: 10 }),
    most: { nginx: 2.4, 'http2-proxy': 0.35 },
    // What requests cost that leave for the upstream together.
    mostPipelined: { nginx: 1.7, 'http2-proxy': 0.35 },
  },
]

const secureNginx = { ...nginx, start: (port, upstream) => startNginxProxy(port, upstream, certificate()) }
const http2Proxy = peer('http2-proxy', { secure: true })

export const httpSecure = {
  name: 'http-secure',
  line: 'CPU per request of a reverse proxy that ends TLS, over HTTPS/1.1 and HTTP/2, beside nginx and http2-proxy',
  rounds: 15,
  how: `130 B from an upstream that speaks HTTP/1.1, and requests as a browser sends them. TLS 1.3, AES-256-GCM, a certificate of
P-256. HTTPS/1.1: 32 connections that stay, ${turns} turns of 4,000 requests in each round; handshakes are not measured. HTTP/2: h2load, 16
connections with 10 streams each, 32,000 requests a turn; the 16 handshakes are measured with them. nginx: one worker,
\`keepalive 256\` to the upstream. Programs of Node have the room for young objects that [http2.md](http2.md#memory-for-young-objects)
recommends (\`--min-semi-space-size=16 --max-semi-space-size=64\`). "xps, pipelined": with \`pipeline: 64\` and four
connections to the upstream.`,

  async run({ rounds, quick, tell }) {
    const missing = h2loadMissing()
    if (missing !== undefined) throw new Error(`HTTP/2 is measured by h2load: ${missing}`)
    const ours = [xps, pipelined].map((one) => ({
      ...one,
      start: (port, place) => one.startSecure(port, place, certificate()),
    }))
    const proxies = await startProxies(installed([...ours, secureNginx, http2Proxy], tell))
    const results = []
    for (const kind of kinds) {
      await inTurn(proxies, warmUp(quick), kind.measure, { turns: quick ? 1 : turns })
      const told = (round) => tell(`${kind.title}, round ${round} of ${rounds}`)
      results.push({ kind, samples: await inTurn(proxies, rounds, kind.measure, { turns: quick ? 1 : turns, told }) })
    }
    await stopAll(proxies)
    return { figures: figures(results), table: table(results), bars: bars(results) }
  },
}

function figures(results) {
  const figuresOf = ({ kind, samples }, name, targets, how) =>
    Object.entries(targets).map(([theirs, most]) => ({
      figure: `Reverse proxy over ${kind.title}, CPU per request (130 B), beside ${theirs}${how}`,
      ...(samples[theirs] === undefined ? { missing: 'not installed' } : ratio(samples[name], samples[theirs])),
      unit: '×',
      most,
    }))
  return results.flatMap((result) => [
    ...figuresOf(result, xps.name, result.kind.most, ''),
    ...figuresOf(result, pipelined.name, result.kind.mostPipelined ?? {}, ', pipelined to the upstream'),
  ])
}

function table(results) {
  return {
    head: ['CPU per request', ...results.flatMap(({ kind }) => [kind.title, 'xps / it'])],
    rows: Object.keys(results[0].samples).map((name) => [
      name,
      ...results.flatMap(({ samples }) => [
        `${median(samples[name]).toFixed(1)} µs`,
        name === 'xps' ? '' : ratio(samples.xps, samples[name]).median.toFixed(2),
      ]),
    ]),
  }
}

function bars(results) {
  return results.map(({ kind, samples }) => ({
    title: kind.title,
    axis: 'CPU per request, µs (shorter is better)',
    values: Object.entries(samples).map(([name, values]) => ({ name, value: median(values), ours: name === 'xps' })),
  }))
}
