// @ts-check
// What `npm start` runs: a small upstream, a relay to it and a file, each on its port, in one process.
//
// Run:     node examples/demo.js [UPSTREAM_PORT RELAY_PORT FILE_PORT]
// Try it:  it says what to type
import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { Core } from 'xps'

const host = '127.0.0.1'
const ports = process.argv.slice(2).map(Number)

// The upstream: any server would do. This one answers every request.
const upstream = createServer((request, response) => {
  response.end(`Hello from the upstream. You asked for ${request.url}\n`)
})

const core = new Core()
core.on('session', (session, listener) => {
  session.on('close', (error) => console.log(`${session.id} on ${listener.address}: ${error?.message ?? 'done'}`))
})

try {
  await once(upstream.listen(ports[0] ?? 3000, host), 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (upstream.address())
  const relay = await core.listen({ host, port: ports[1] ?? 8001, route: { upstream: `${host}:${port}` } })
  const root = fileURLToPath(new URL('public', import.meta.url))
  const file = await core.listen({ host, port: ports[2] ?? 8002, route: { file: 'sample.txt', root } })
  console.log(`upstream  ${host}:${port}
relay     ${relay.address} to the upstream   try: curl http://${relay.address}/
file      ${file.address} sends a file      try: nc ${host} ${file.port}
Ctrl-C stops: sessions have five seconds to finish.`)
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : error}`)
  process.exit(1)
}

async function stop() {
  const count = core.sessions.length
  console.log(`stopping: ${count === 1 ? '1 session is' : `${count} sessions are`} left`)
  const error = await core.close({ deadline: 5_000 })
  console.log(error?.message ?? 'done')
  upstream.close()
  upstream.closeAllConnections()
}
process.once('SIGINT', stop).once('SIGTERM', stop)
