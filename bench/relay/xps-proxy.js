// Ours. node bench/relay/xps-proxy.js PORT UPSTREAM_PORT
import { Core } from 'xps'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
const core = new Core()
await core.listen({ port, host: '127.0.0.1', backlog: 4096, route: { upstream: `127.0.0.1:${upstreamPort}` } })
