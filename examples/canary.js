// @ts-check
// A canary: a share of the clients gets the new version, and keeps it by a cookie. `X-Version: canary` asks for it.
//
// Run:     node examples/canary.js 8086 127.0.0.1:3000 127.0.0.1:3001 10        (old, new, percent)
// Try it:  curl -i http://127.0.0.1:8086/
//          curl -i -H 'X-Version: canary' http://127.0.0.1:8086/
import { Core } from 'xps'
import { http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8086)
const [stable = '127.0.0.1:3000', canary = '127.0.0.1:3001', percent = '10'] = process.argv.slice(3)

const protocol = http({
  routes: [
    { name: 'stable', upstream: stable },
    // Of two routes for the same host and path, the one that asks for more comes first.
    { name: 'canary', headers: { 'x-version': 'canary' }, upstream: canary },
  ],
  hooks: {
    afterRouting(transaction) {
      const { headers } = transaction.request
      if (headers.has('x-version')) return
      const [, given] = /\bversion=(stable|canary)\b/.exec(headers.get('cookie') ?? '') ?? []
      transaction.useRoute(given ?? (Math.random() * 100 < Number(percent) ? 'canary' : 'stable'))
    },
    response({ route, response }) {
      response?.headers.append('set-cookie', `version=${route?.name}; Path=/; HttpOnly; SameSite=Lax`)
    },
  },
})

const core = new Core()
const { address } = await core.listen({ host: '127.0.0.1', port, protocol })
console.log(`${percent} % of http://${address} to ${canary}, the rest to ${stable}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
