// @ts-check
// An upstream in the same process: the server has no port of its own, and is reached through the relay only.
//
// Run:     node examples/in-process-upstream.js 8004
// Try it:  curl http://127.0.0.1:8004/hello
import { createServer } from 'node:http'
import { Core } from 'xps'

// A server that never listens. For an Express app it is `createServer(app)`.
const server = createServer((request, response) => {
  response.end(`${request.method} ${request.url}, answered in process ${process.pid}\n`)
})

const port = Number(process.argv[2] ?? process.env.PORT ?? 8004)
const core = new Core()
const { address } = await core.listen({ host: '127.0.0.1', port, route: { upstream: server } })
console.log(`serving in process ${process.pid} on ${address}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
