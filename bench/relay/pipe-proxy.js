// The yardstick: what a Node program does without a library. node bench/relay/pipe-proxy.js PORT UPSTREAM_PORT
import { connect, createServer } from 'node:net'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const upstream = connect({ port: upstreamPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  client.pipe(upstream)
  upstream.pipe(client)
  client.on('error', () => upstream.destroy())
  upstream.on('error', () => client.destroy())
}).listen(port, '127.0.0.1', 4096)
