// A relay with limits, whose numbers can be asked for.
//   node bench/admission/server.js PORT STATS_PORT UPSTREAM_PORT OPTIONS
// The options are JSON. On the second port it answers every connection with its stats, as JSON. With --expose-gc it
// collects its garbage before, so that its memory is what it still needs.
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { Core } from 'xps'

const [port, statsPort, upstreamPort, options] = process.argv.slice(2)
const core = new Core(JSON.parse(options))

const numbers = createServer((socket) => {
  socket.on('error', () => {})
  globalThis.gc?.()
  const descriptors = readdirSync('/proc/self/fd').length
  socket.end(JSON.stringify({ ...core.stats(), descriptors, sessions: core.sessions.length }))
})
await once(numbers.listen(Number(statsPort), '127.0.0.1'), 'listening')

await core.listen({
  port: Number(port),
  host: '127.0.0.1',
  backlog: 4096,
  route: { upstream: `127.0.0.1:${upstreamPort}` },
})
