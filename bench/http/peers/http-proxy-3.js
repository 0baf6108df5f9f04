// node bench/http/peers/http-proxy-3.js PORT UPSTREAM_PORT
import { Agent, createServer } from 'node:http'
import { createProxyServer } from 'http-proxy-3'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
const target = `http://127.0.0.1:${upstreamPort}`
const proxy = createProxyServer({ target, agent: new Agent({ keepAlive: true }) })
const server = createServer((request, response) => proxy.web(request, response))
server.on('upgrade', (request, socket, head) => void proxy.ws(request, socket, head))
server.listen(port, '127.0.0.1', 4096)
