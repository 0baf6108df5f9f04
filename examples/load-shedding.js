// @ts-check
// A server that sheds load: two sessions at a time, two that may wait for half a second, and the rest is told to go at
// once, which costs next to nothing. It prints its numbers whenever somebody was refused or a session has ended.
//
// Run:     node examples/load-shedding.js 8006
// Try it:  for i in 1 2 3 4 5 6; do (sleep 3 | nc 127.0.0.1 8006) & done; wait
import { ClientSession, Core } from 'xps'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8006)

/** Says what it is told, so that a client can see that it is being served. */
class Echo extends ClientSession {
  onOpen() {
    this.pipe(this.client.source, this.client.sink)
  }
}

const core = new Core({ maxConnections: 2, maxQueue: 2, queueTimeout: 500, order: 'newest', maxSessionAge: 10_000 })

function report() {
  const { active, queued, refused } = core.stats()
  console.log(`${active} served, ${queued} waiting, refused so far: ${JSON.stringify(refused)}`)
}
core.on('refused', report)
core.on('session', (session) => session.on('close', report))

const { address } = await core.listen({ host: '127.0.0.1', port, protocol: (client) => new Echo(client) })
console.log(`serving two at a time on ${address}`)

const stop = () => core.close({ deadline: 1_000 })
process.once('SIGINT', stop).once('SIGTERM', stop)
