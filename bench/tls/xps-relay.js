// Ours. node bench/tls/xps-relay.js PORT UPSTREAM_PORT CERT KEY
import { Core } from 'xps'

const [port, upstreamPort, cert, key] = process.argv.slice(2)
const core = new Core()
const route = { upstream: `127.0.0.1:${upstreamPort}` }
await core.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096, route, tls: { cert, key } })
