// CPU per request of a relay, for small and for large responses, beside other relays.
import { cpuTime, pause } from '../lib/processes.js'
import { inTurn, ratio, summary } from '../lib/statistics.js'
import { openClients } from './load.js'
import { installedProxies, startAll, stopAll } from './proxies.js'

const clients = 32
const turns = 3
const sizes = [
  { kind: 's', title: '130 B', requests: 4_000, most: { 'a.pipe(b)': 1, 'nginx stream': 1.3 } },
  { kind: 'l', title: '100 KB', requests: 800, most: { 'a.pipe(b)': 0.75, HAProxy: 0.85 } },
]

export const relay = {
  name: 'relay',
  line: 'CPU per response of 130 B and of 100 KB, beside a.pipe(b), HAProxy and nginx stream',
  rounds: 21,
  how: `${clients} connections stay open; each sends a request of 100 B when the last answer is whole. In each round each
proxy takes ${turns} turns of ${sizes.map((size) => `${size.requests.toLocaleString('en')} requests (${size.title})`).join(' and ')}.`,

  async run({ rounds, tell }) {
    const proxies = await startAll(installedProxies(tell))
    for (const proxy of proxies) proxy.clients = await openClients(proxy.port, clients)
    const results = []
    for (const size of sizes) {
      const measure = (proxy) => cpuPerRequest(proxy, size)
      // Until the just-in-time compiler and the heap have settled.
      await inTurn(proxies, 3, measure, { turns })
      const told = (round) => tell(`${size.title}, round ${round} of ${rounds}`)
      const samples = await inTurn(proxies, rounds, measure, { turns, told })
      results.push({ size, samples })
    }
    await Promise.all(proxies.map((proxy) => proxy.clients.close()))
    await stopAll(proxies)
    return { figures: figures(results), table: table(results), bars: bars(results) }
  },
}

/** Microseconds of CPU that a proxy takes for each of so many requests of its clients. */
export async function cpuPerRequest({ pid, clients: load }, { kind, requests }) {
  const before = cpuTime(pid)
  await load.request(kind, requests)
  // The end of the last turn of its loop counts as well.
  await pause(10)
  return (cpuTime(pid) - before) / requests
}

function figures(results) {
  return results.flatMap(({ size, samples }) =>
    Object.entries(size.most).map(([theirs, most]) => ({
      figure: `CPU per response of ${size.title}, beside ${theirs}`,
      ...(samples[theirs] === undefined
        ? { missing: `${theirs} is not installed` }
        : ratio(samples.xps, samples[theirs])),
      unit: '×',
      most,
    })),
  )
}

/** CPU per response of each proxy, by the size of the response. */
export function table(results) {
  const names = Object.keys(results[0].samples)
  return {
    head: ['CPU per response', ...results.flatMap(({ size }) => [size.title, 'xps / it'])],
    rows: names.map((name) => [
      name,
      ...results.flatMap(({ samples }) => [
        `${summary(samples[name]).median.toFixed(1)} µs`,
        name === 'xps' ? '' : ratio(samples.xps, samples[name]).median.toFixed(2),
      ]),
    ]),
  }
}

/** The same for a picture. */
export function bars(results) {
  return results.map(({ size, samples }) => ({
    title: `${size.title} responses`,
    values: Object.entries(samples).map(([name, values]) => ({ name, value: summary(values).median })),
  }))
}
