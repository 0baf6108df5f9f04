// @ts-check
// A reverse proxy: requests go to one of the upstreams in turn, and each is logged when it is over.
//
// Run:     npm start                                                 (an upstream is on port 3000; so would any other be)
//          node examples/reverse-proxy.js 8080 127.0.0.1:3000        (or more of them)
// Try it:  curl -i http://127.0.0.1:8080/some/path
import { Core } from 'xps'
import { combinedLogLine, http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8080)
const upstreams = process.argv.length > 3 ? process.argv.slice(3) : ['127.0.0.1:3000']

const protocol = http({
  routes: [
    // Answered here, for whoever wants to know whether the proxy runs.
    { path: '/health', reply: { status: 200, body: 'fine\n' } },
    { upstream: upstreams },
  ],
  responseTimeout: 10_000,
  errorPages: { 502: 'Nobody is at home: {code}\n' },
  log: (entry) => console.log(combinedLogLine(entry)),
})

const core = new Core()
const { address } = await core.listen({ host: '127.0.0.1', port, protocol })
console.log(`forwarding http://${address} to ${upstreams.join(', ')}`)

const stop = () => core.close({ deadline: 5_000 })
process.once('SIGINT', stop).once('SIGTERM', stop)
