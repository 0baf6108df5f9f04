// @ts-check
// A graceful shutdown: on SIGTERM or Ctrl-C new clients are refused, and those that are being served have five
// seconds to finish. It sends a small file slowly, so that there is something to wait for.
//
// Run:     node examples/graceful-shutdown.js 8005
// Try it:  nc 127.0.0.1 8005, and press Ctrl-C here while the text is coming: it still arrives whole
import { fileURLToPath } from 'node:url'
import { Core, throttle } from 'xps'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8005)
const root = fileURLToPath(new URL('public', import.meta.url))

const core = new Core()
const route = { file: 'sample.txt', root, toClient: [throttle('20 B/s')] }
const { address } = await core.listen({ host: '127.0.0.1', port, route })
console.log(`sending a file slowly on ${address}`)

core.on('progress', (left, of) => console.log(`draining: ${left} of ${of} left`))

async function stop() {
  const error = await core.close({ deadline: 5_000 })
  console.log(error === undefined ? 'all have finished' : `cut off: ${error.message}`)
}
process.once('SIGINT', stop).once('SIGTERM', stop)
