// @ts-check
// Hono within xps: its `fetch` is a route. So is that of any other application of web standards.
//
// Run:     npm install hono, and node examples/mount-hono.js 8084
// Try it:  curl -i http://127.0.0.1:8084/api/hello/world
//          curl -i -d 'some text' http://127.0.0.1:8084/api/shout
import { fileURLToPath } from 'node:url'
import { Hono } from 'hono'
import { Core } from 'xps'
import { http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8084)

/** What Hono calls its bindings is the transaction here. @type {Hono<{ Bindings: import('xps/http').Transaction }>} */
const app = new Hono()
app.get('/api/hello/:name', (c) => c.json({ hello: c.req.param('name'), address: c.env.session.remoteAddress }))
app.post('/api/shout', async (c) => c.text((await c.req.text()).toUpperCase()))

const core = new Core()
const { address } = await core.listen({
  host: '127.0.0.1',
  port,
  protocol: http({
    routes: [
      { path: '/api', fetch: app.fetch, bodyLimit: '1 MB' },
      { files: fileURLToPath(new URL('public', import.meta.url)) },
    ],
  }),
})
console.log(`Hono and files on http://${address}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
