// @ts-check
// A proxy that owns the session of two apps: the accounts app logs in and out, the shop is told who it is, and neither
// sees the cookie. What the shop counts on GET /add is kept by the proxy too: fifty requests at once end at fifty.
//
// Run:     node examples/cookie-sessions.js 8094
// Try it:  curl -c jar -b jar -X POST http://127.0.0.1:8094/account/login?ali
//          curl -c jar -b jar http://127.0.0.1:8094/add
//          curl -c jar -b jar -X POST http://127.0.0.1:8094/account/logout
import { randomBytes } from 'node:crypto'
import { Core } from 'xps'
import { http } from 'xps/http'
import { cookieSessions } from 'xps/http-sessions'
import { MemoryStore } from 'xps/state'

const port = Number(process.argv[2] ?? 8094)

const sessions = cookieSessions({
  store: new MemoryStore(), // or new StateClient('127.0.0.1:9090'), for several proxies
  keys: [process.env.SESSION_KEY ?? randomBytes(32)],
  forward: { headers: { 'x-user': 'user', 'x-items': 'items' } },
  accept: { routes: ['account', 'shop'] },
})

/** Two apps in this process; they could be anywhere. @type {import('node:http').RequestListener} */
const account = (req, res) => {
  if (req.method !== 'POST') return void res.writeHead(405).end()
  if (req.url?.endsWith('/logout')) return void res.setHeader('X-Session-Destroy', '1').end('goodbye\n')
  const user = req.url?.split('?')[1] ?? 'guest'
  res.setHeader('X-Session-Set', new URLSearchParams({ user }).toString()).setHeader('X-Session-Rotate', '1')
  res.end(`hello ${user}\n`)
}
/** @type {import('node:http').RequestListener} */
const shop = (req, res) => {
  const items = Number(req.headers['x-items'] ?? 0) + 1
  res.setHeader('X-Session-Set', JSON.stringify({ items }))
  res.end(`${items} in the cart of ${req.headers['x-user'] ?? 'nobody'}; cookies: ${req.headers.cookie ?? 'none'}\n`)
}

const routes = [
  { name: 'account', path: '/account', node: account },
  { name: 'shop', node: shop },
]
const core = new Core()
core.own(sessions)
const { address } = await core.listen({ host: '127.0.0.1', port, protocol: http({ routes, hooks: sessions.hooks }) })
console.log(`two apps on http://${address}`)

const stop = () => core.close({ deadline: 1_000 })
process.once('SIGINT', stop).once('SIGTERM', stop)
