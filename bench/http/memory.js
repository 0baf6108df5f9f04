// What HTTP costs in memory: bodies of 100 MB both ways, and connections that are kept and idle.
import { request as ask, createServer } from 'node:http'
import { bodyOf, matches, send } from '../lib/bodies.js'
import { pause, peakMemory, residentMemory } from '../lib/processes.js'
import { inTurn, median, ratio, summary } from '../lib/statistics.js'
import { openClients } from './load.js'
import { answers } from './messages.js'
import { nodeServer, startBefore, stopAll, xps, xpsAnswer } from './servers.js'

const settling = 5_000
const size = 100_000_000

export const httpMemory = {
  name: 'http-memory',
  line: 'memory for bodies of 100 MB, and for 5,000 idle connections beside http.Server',
  rounds: 5,
  how: `A client sends 100 MB through a fresh reverse proxy, and then gets 100 MB through it; both ends check every byte. The
figure is the most resident memory that the process ever had (VmHWM of the kernel). Idle connections: the growth of the
resident memory, from a fresh process that has answered one client to ${settling / 1_000} s after the last of 5,000 clients has had its
answer of 130 B. Both servers are started alike, and no garbage collection is forced.`,

  async run({ rounds, quick, tell }) {
    const connections = quick ? 1_000 : 5_000
    const peaks = []
    for (let round = 0; round < rounds; round++) {
      peaks.push((await transfer()) / 1e6)
      tell(`bodies, round ${round + 1} of ${rounds}`)
    }
    const measure = (server) => growth(server, connections)
    const told = (round) => tell(`idle connections, round ${round} of ${rounds}`)
    const samples = await inTurn([xpsAnswer, nodeServer], rounds, measure, { told })
    const count = connections.toLocaleString('en')
    return {
      figures: [
        { figure: 'Peak memory of a reverse proxy, 100 MB each way', ...summary(peaks), unit: ' MB', most: 100 },
        {
          figure: `Memory of ${count} idle HTTP connections, beside http.Server`,
          ...ratio(samples[xpsAnswer.name], samples[nodeServer.name]),
          unit: '×',
          most: 1,
        },
      ],
      table: {
        head: ['Memory per idle connection', ''],
        rows: Object.entries(samples).map(([name, values]) => [
          name,
          `${(median(values) / connections / 1_000).toFixed(1)} KB`,
        ]),
      },
    }
  },
}

async function growth(server, connections) {
  const started = await startBefore(server)
  const first = await openClients(started.port, 1)
  await first.request(answers.small, 1)
  await first.close()
  await pause(500)
  const before = residentMemory(started.pid)
  const clients = await openClients(started.port, connections)
  await clients.request(answers.small, connections)
  await pause(settling)
  const grown = residentMemory(started.pid) - before
  await clients.close()
  await stopAll([started])
  return grown
}

/** Resolves to the most memory that a reverse proxy had while it passed on a large body each way. */
async function transfer() {
  const body = bodyOf(size)
  const upstream = createServer((request, response) => {
    if (request.method === 'GET') sendWithLength(response, body)
    else
      receive(request, body).then(
        () => response.end('whole'),
        (error) => response.destroy(error),
      )
  })
  await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  const started = await startBefore(xps, upstream.address().port)
  const answer = await exchange(started.port, 'POST', body)
  if (answer.statusCode !== 200) throw new Error(`the upload was answered with ${answer.statusCode}`)
  answer.resume()
  await receive(await exchange(started.port, 'GET'), body)
  const peak = peakMemory(started.pid)
  await stopAll([started])
  upstream.closeAllConnections()
  await new Promise((resolve) => upstream.close(resolve))
  return peak
}

function exchange(port, method, body) {
  return new Promise((resolve, reject) => {
    const request = ask({ port, host: '127.0.0.1', method, agent: false, timeout: 60_000 }, resolve)
    request.once('timeout', () => request.destroy(new Error('no answer')))
    request.once('error', reject)
    if (body === undefined) request.end()
    else sendWithLength(request, body)
  })
}

function sendWithLength(message, body) {
  message.setHeader('content-length', body.length)
  send(message, body)
}

/** Resolves when the body has come, and nothing else. */
async function receive(message, body) {
  let got = 0
  for await (const chunk of message) {
    if (!matches(chunk, 0, chunk.length, body, got)) throw new Error('wrong bytes')
    got += chunk.length
  }
  if (got !== body.length) throw new Error(`${got} bytes of ${body.length}`)
}
