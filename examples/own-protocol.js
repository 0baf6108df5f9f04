// @ts-check
// A protocol of your own: a session class that says what happens to a client's bytes. This one shouts them back.
//
// Run:     node examples/own-protocol.js 7000
// Try it:  nc 127.0.0.1 7000, type a line: it comes back in capitals
import { ClientSession, Core } from 'xps'

/** Makes the letters a to z capital. @param {Uint8Array} chunk */
const shout = (chunk) => chunk.map((byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte))

class ShoutSession extends ClientSession {
  onOpen() {
    // From the client, through the function, back to the client. The session lasts as long as this pipe does:
    // until the client ends its direction and has been sent all that it said.
    this.pipe(this.client.source, this.client.sink, { through: [shout] })
  }
}

const port = Number(process.argv[2] ?? process.env.PORT ?? 7000)
const core = new Core()

// A protocol is a function from a connection to a session.
const { address } = await core.listen({ host: '127.0.0.1', port, protocol: (client) => new ShoutSession(client) })
console.log(`shouting on ${address}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
