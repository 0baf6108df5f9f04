// Our face of http-proxy, in a server of Node's. node bench/http/face-server.js PORT UPSTREAM_PORT
import { createServer } from 'node:http'
import { createProxyServer } from 'xps/http-proxy'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
const proxy = createProxyServer({ target: `http://127.0.0.1:${upstreamPort}` })
const server = createServer((request, response) => proxy.web(request, response))
server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
server.listen(port, '127.0.0.1', 4096)
