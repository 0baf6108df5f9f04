// node bench/http/peers/http2-proxy.js PORT UPSTREAM_PORT CERT KEY
import { readFileSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import proxy from 'http2-proxy'

const [port, upstreamPort, cert, key] = process.argv.slice(2)
const server = createSecureServer({ allowHTTP1: true, cert: readFileSync(cert), key: readFileSync(key) })
server.on('request', (request, response) => {
  proxy.web(request, response, { hostname: '127.0.0.1', port: Number(upstreamPort) }, (error) => {
    if (error) response.destroy(error)
  })
})
server.listen(Number(port), '127.0.0.1', 4096)
