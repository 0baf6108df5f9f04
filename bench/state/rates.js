// What a put and a get cost beside Redis, pipelined and not.
import { openClients } from '../lib/clients.js'
import { cpuTime } from '../lib/processes.js'
import { inNode, installed, startBefore, stopAll } from '../lib/servers.js'
import { inTurn, median, ratio, summary } from '../lib/statistics.js'
import { batch, languages, newReader } from './commands.js'
import { redisMissing, startRedis } from './redis.js'

const connections = 8
const depth = 32
/** Puts a second over 8 connections to the session server in PHP that the protocol comes from, on such a machine. */
const reference = 37_000
const kinds = [
  { title: 'put', command: 'put', depth: 1, total: 8_000 },
  { title: 'get', command: 'get', depth: 1, total: 8_000 },
  { title: `put, ${depth} sent ahead`, command: 'put', depth, total: 32_000 },
  { title: `get, ${depth} sent ahead`, command: 'get', depth, total: 32_000 },
]

const xps = { name: 'xps', language: languages.xps, start: inNode(new URL('server.js', import.meta.url)) }
const redis = { name: 'redis', language: languages.redis, start: startRedis, missing: redisMissing }

export const stateRates = {
  name: 'state',
  line: 'Put and get of the session-state server, beside Redis, pipelined and not',
  rounds: 11,
  how: `Values of 1 KB, ${connections} connections, everything in memory; Redis with \`--save '' --appendonly no\`. The clients are the
same for both, and write the same commands: one, or ${depth} in one write, and the next when all have been answered; every byte of the
answers is compared. Each connection puts to, and gets from, a session that it has open; of Redis they are \`SET\` and \`GET\`.
A round is, for each, three turns of ${kinds[0].total.toLocaleString('en')} commands, or ${kinds[2].total.toLocaleString('en')} that are sent ahead. By the clock:
clients and server together, on this machine; the server in PHP, which the protocol comes from, was measured with 37,000 puts
a second over 8 connections, none of them sent ahead.`,

  async run({ rounds, quick, tell }) {
    const subjects = []
    for (const server of installed([xps, redis], tell)) {
      const started = await startBefore(server)
      const clients = await openClients(started.port, connections, newReader)
      const { prepare } = server.language
      if (prepare !== undefined) await clients.request(prepare.question, prepare.expected, connections)
      subjects.push({ ...started, clients, language: server.language })
    }
    const results = []
    for (const kind of kinds) {
      const rates = { xps: [], redis: [] }
      const measure = (subject) => costOf(subject, kind, rates)
      await inTurn(subjects, quick ? 2 : 6, measure)
      for (const list of Object.values(rates)) list.length = 0
      const told = (round) => tell(`${kind.title}, round ${round} of ${rounds}`)
      results.push({ kind, rates, samples: await inTurn(subjects, rounds, measure, { turns: 3, told }) })
    }
    for (const { clients } of subjects) await clients.close()
    await stopAll(subjects)
    return { figures: figures(results), table: table(results) }
  },
}

/** CPU of the server for a command, in microseconds; the rate by the clock is noted too. */
async function costOf({ name, pid, clients, language }, { command, depth, total }, rates) {
  const { question, expected } = batch(language[command], depth)
  const before = cpuTime(pid)
  const began = performance.now()
  await clients.request(question, expected, total / depth)
  rates[name].push((total / (performance.now() - began)) * 1_000)
  return (cpuTime(pid) - before) / total
}

function figures(results) {
  const ahead = results.find(({ kind }) => kind.command === 'put' && kind.depth > 1)
  return [
    ...results.map(({ kind, samples }) => ({
      figure: `State server, ${kind.title}: rate per CPU second, beside Redis`,
      ...(samples.redis === undefined ? { missing: 'not installed' } : ratio(samples.redis, samples.xps)),
      unit: '×',
      least: 0.6,
    })),
    {
      figure: `State server, puts over ${connections} connections, ${depth} sent ahead`,
      ...summary(ahead.rates.xps),
      unit: '/s',
      least: 3 * reference,
    },
  ]
}

function table(results) {
  const cost = (samples, name) => (samples[name] === undefined ? '' : `${median(samples[name]).toFixed(2)} µs`)
  return {
    head: ['CPU of the server per command', 'xps', 'redis', 'xps, by the clock', 'redis, by the clock'],
    rows: results.map(({ kind, samples, rates }) => [
      kind.title,
      ...['xps', 'redis'].map((name) => cost(samples, name)),
      ...['xps', 'redis'].map((name) => (samples[name] === undefined ? '' : `${Math.round(median(rates[name]))}/s`)),
    ]),
  }
}
