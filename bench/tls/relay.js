// CPU per response of a relay that ends TLS, beside others.
import { certificate } from '../lib/certificate.js'
import { inNode, installed } from '../lib/servers.js'
import { inTurn, ratio } from '../lib/statistics.js'
import { openClients } from '../relay/load.js'
import { nginxMissing, startAll, startNginxStream, stopAll } from '../relay/proxies.js'
import { bars, cpuPerRequest, table } from '../relay/relay.js'

const clients = 32
const turns = 3
const sizes = [
  { kind: 's', title: '130 B', requests: 4_000, most: {} },
  { kind: 'l', title: '100 KB', requests: 800, most: { 'nginx stream ssl': 1.1 } },
]

const servers = [
  { name: 'xps', start: secureNode('./xps-relay.js') },
  { name: 'tls.pipe(b)', start: secureNode('./pipe-relay.js') },
  { name: 'nginx stream ssl', missing: nginxMissing, start: startNginxTls },
]

export const tlsRelay = {
  name: 'tls-relay',
  line: 'CPU per response of a relay that ends TLS, beside two pipes and nginx stream ssl',
  rounds: 15,
  how: `${clients} encrypted connections stay open (TLS 1.3, AES-256-GCM); each sends a request of 100 B when the last answer is
whole. In each round each proxy takes ${turns} turns of ${sizes.map((size) => `${size.requests.toLocaleString('en')} requests (${size.title})`).join(' and ')}. Handshakes are not measured.`,

  async run({ rounds, tell }) {
    const proxies = await startAll(installed(servers, tell))
    for (const proxy of proxies) proxy.clients = await openClients(proxy.port, clients, { secure: true })
    const results = []
    for (const size of sizes) {
      const measure = (proxy) => cpuPerRequest(proxy, size)
      await inTurn(proxies, 3, measure, { turns })
      const told = (round) => tell(`${size.title}, round ${round} of ${rounds}`)
      results.push({ size, samples: await inTurn(proxies, rounds, measure, { turns, told }) })
    }
    await Promise.all(proxies.map((proxy) => proxy.clients.close()))
    await stopAll(proxies)
    return { figures: figures(results), table: table(results), bars: bars(results) }
  },
}

function secureNode(file) {
  return (port, place) => {
    const { cert, key } = certificate()
    return inNode(new URL(file, import.meta.url), cert, key)(port, place)
  }
}

function startNginxTls(port, upstreamPort) {
  const { cert, key } = certificate()
  return startNginxStream(
    port,
    `listen 127.0.0.1:${port} ssl; ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.2 TLSv1.3;
    proxy_pass 127.0.0.1:${upstreamPort};`,
  )
}

function figures(results) {
  return results.flatMap(({ size, samples }) =>
    Object.entries(size.most).map(([theirs, most]) => ({
      figure: `TLS relay, CPU per response of ${size.title}, beside ${theirs}`,
      ...(samples[theirs] === undefined ? { missing: 'not installed' } : ratio(samples.xps, samples[theirs])),
      unit: '×',
      most,
    })),
  )
}
