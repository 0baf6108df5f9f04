// It keeps its connections by itself. node bench/http/peers/httpxy.js PORT UPSTREAM_PORT
import { createServer } from 'node:http'
import { createProxyServer } from 'httpxy'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
const proxy = createProxyServer({ target: `http://127.0.0.1:${upstreamPort}` })
const server = createServer((request, response) => void proxy.web(request, response))
server.on('upgrade', (request, socket, head) => void proxy.ws(request, socket, {}, head))
server.listen(port, '127.0.0.1', 4096)
