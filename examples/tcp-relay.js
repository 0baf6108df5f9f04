// @ts-check
// A relay: what a client sends goes to the upstream, what the upstream sends goes to the client, byte by byte.
//
// Run:     node examples/own-protocol.js 3000                  (an upstream; any TCP server will do)
//          node examples/tcp-relay.js 8001 127.0.0.1:3000
// Try it:  nc 127.0.0.1 8001, type a line: the answer comes from the upstream
import { Core } from 'xps'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8001)
const upstream = process.argv[3] ?? '127.0.0.1:3000'

const core = new Core()

// How each session ended: well, or with an error that says what went wrong and on which side.
core.on('session', (session) => {
  console.log(`${session.id}: ${session.client.address}`)
  session.on('close', (error) => console.log(`${session.id}: ${error?.message ?? 'done'}`))
})

const { address } = await core.listen({ host: '127.0.0.1', port, route: { upstream } })
console.log(`relaying ${address} to ${upstream}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
