// @ts-check
// Express within xps, without a port of its own: a `(req, res)` handler is a route, and so is an `http.Server`.
//
// Run:     npm install express, and node examples/mount-express.js 8085
// Try it:  curl -i http://127.0.0.1:8085/app/hello
import { fileURLToPath } from 'node:url'
import express from 'express'
import { Core } from 'xps'
import { http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8085)

const app = express()
// The client's address comes in `X-Forwarded-For`, as behind any proxy.
app.set('trust proxy', 'loopback')
app.get('/hello', (req, res) => void res.json({ hello: req.ip, host: req.hostname }))

const core = new Core()
const { address } = await core.listen({
  host: '127.0.0.1',
  port,
  protocol: http({
    routes: [
      // Express sees /hello where the client said /app/hello.
      { path: '/app', node: app, stripPrefix: true },
      { files: fileURLToPath(new URL('public', import.meta.url)) },
    ],
  }),
})
console.log(`Express and files on http://${address}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
