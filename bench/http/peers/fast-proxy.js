// node bench/http/peers/fast-proxy.js PORT UPSTREAM_PORT http|undici
import { createServer } from 'node:http'
import fastProxy from 'fast-proxy'

const [port, upstreamPort, client] = process.argv.slice(2)
const base = `http://127.0.0.1:${upstreamPort}`
const { proxy } = fastProxy({ base, undici: client === 'undici' ? { connections: 64, pipelining: 1 } : false })
const server = createServer((request, response) => proxy(request, response, request.url, {}))
server.listen(Number(port), '127.0.0.1', 4096)
