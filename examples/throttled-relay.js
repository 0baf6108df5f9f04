// @ts-check
// A stage in a pipe: a relay whose clients get no more than so many bytes a second, and a tap that counts them.
//
// Run:     npm start                                                     (its upstream is on port 3000)
//          node examples/throttled-relay.js 8003 127.0.0.1:3000 '100 B/s'
// Try it:  curl http://127.0.0.1:8003/
import { Core, throttle } from 'xps'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8003)
const upstream = process.argv[3] ?? '127.0.0.1:3000'
const rate = process.argv[4] ?? '100 B/s'

let sent = 0
const core = new Core()
const { address } = await core.listen({
  host: '127.0.0.1',
  port,
  route: {
    upstream,
    // What the upstream sends passes these, in order. Nothing piles up: while a stage waits, so does the upstream.
    toClient: [
      throttle(rate),
      (chunk) => {
        sent += chunk.length
        return chunk
      },
    ],
  },
})
console.log(`relaying ${address} to ${upstream} at ${rate}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
core.on('close', () => console.log(`${sent} bytes sent`))
