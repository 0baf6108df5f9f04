// @ts-check
// gRPC passes through: calls of all four kinds, over HTTP/2 without TLS on both sides, each logged with its status.
//
// Run:     node examples/grpc.js 8090 127.0.0.1:50051      (what is behind it: any gRPC server)
// Try it:  let a client of yours connect to 127.0.0.1:8090
import { Core } from 'xps'
import { http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8090)
const upstream = process.argv[3] ?? '127.0.0.1:50051'

const protocol = http({
  // With TLS on a listener, HTTP/2 is there without this.
  http2: { cleartext: true },
  routes: [{ upstream: `h2c://${upstream}` }],
  // Calls may stream for as long as they like.
  responseIdleTimeout: 0,
  hooks: {
    transactionClose({ request, status, age }) {
      console.log(`${request.target} ${status} after ${Math.round(age)} ms`)
    },
  },
})

const core = new Core()
const { address } = await core.listen({ host: '127.0.0.1', port, protocol })
console.log(`passing gRPC of ${address} on to ${upstream}`)

const stop = () => core.close({ deadline: 5_000 })
process.once('SIGINT', stop).once('SIGTERM', stop)
