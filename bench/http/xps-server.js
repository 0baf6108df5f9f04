// Ours. node bench/http/xps-server.js PORT UPSTREAM_PORT proxy|pipeline|hook
//       node bench/http/xps-server.js PORT FOLDER files
//       node bench/http/xps-server.js PORT '' answer
// With TLS if CERT and KEY follow.
import { Core } from 'xps'
import { http } from 'xps/http'
import { answers } from './messages.js'

const [port, place, kind, cert, key] = process.argv.slice(2)
const path = '/'
const upstream = `127.0.0.1:${place}`
const kinds = {
  proxy: () => ({ routes: [{ path, upstream }] }),
  pipeline: () => ({ routes: [{ path, upstream, pipeline: 64, pipelineConnections: 4 }] }),
  hook: () => ({ routes: [{ path, upstream }], hooks: { request() {} } }),
  files: () => ({ routes: [{ path, files: place }] }),
  answer: () => ({ routes: [{ path, reply: { status: 200, body: answers.small.block } }] }),
}
const core = new Core()
const tls = cert === undefined ? {} : { tls: { cert, key } }
const protocol = http(kinds[kind]())
await core.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096, protocol, ...tls })
