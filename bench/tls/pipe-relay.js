// What a program does without a library. node bench/tls/pipe-relay.js PORT UPSTREAM_PORT CERT KEY
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createServer } from 'node:tls'

const [port, upstreamPort, cert, key] = process.argv.slice(2)
createServer({ cert: readFileSync(cert), key: readFileSync(key), noDelay: true }, (client) => {
  const upstream = connect({ port: Number(upstreamPort), host: '127.0.0.1', noDelay: true })
  client.on('error', () => upstream.destroy())
  upstream.on('error', () => client.destroy())
  client.pipe(upstream).pipe(client)
}).listen(Number(port), '127.0.0.1', 4096)
