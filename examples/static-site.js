// @ts-check
// A static site with an API beside it: what no other route wants is a file.
//
// Run:     node examples/static-site.js 8081
// Try it:  curl -i http://127.0.0.1:8081/sample.txt
//          curl -i http://127.0.0.1:8081/api/hello/world
import { fileURLToPath } from 'node:url'
import { Core } from 'xps'
import { http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8081)
const root = fileURLToPath(new URL('public', import.meta.url))

const protocol = http({
  routes: [
    {
      path: '/api/hello/:name',
      method: 'GET',
      // A handler of web standards. The parameters of the path are with the transaction.
      fetch: (request, { params }) => Response.json({ hello: params.name, from: request.url }),
    },
    // Nothing of the API is ever looked for on the disk.
    { path: '/api', reply: 404 },
    { files: root, listing: true, compress: true, cacheControl: { '*.txt': 'max-age=60' } },
  ],
})

const core = new Core()
const { address } = await core.listen({ host: '127.0.0.1', port, protocol })
console.log(`serving ${root} on http://${address}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
