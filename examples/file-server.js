// @ts-check
// A file on a port: whoever connects is sent the file, and then the connection ends.
//
// Run:     node examples/file-server.js 8002 sample.txt
// Try it:  nc 127.0.0.1 8002
import { fileURLToPath } from 'node:url'
import { Core } from 'xps'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8002)
const file = process.argv[3] ?? 'sample.txt'

// No file outside this folder is ever sent, whatever the path and its links say.
const root = fileURLToPath(new URL('public', import.meta.url))

const core = new Core()
core.on('session', (session) => {
  session.on('close', (error) => console.log(`${session.id}: ${error?.message ?? 'sent'}`))
})

const { address } = await core.listen({ host: '127.0.0.1', port, route: { file, root } })
console.log(`sending ${file} on ${address}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
