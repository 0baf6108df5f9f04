// @ts-check
// A WebSocket proxy that lets nobody in without a token: a browser can send one in the query, others in a field.
//
// Run:     node examples/websocket-auth.js 8090 127.0.0.1:3000      (what is behind it: any WebSocket server)
// Try it:  curl -i -N --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
//            -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' 'http://127.0.0.1:8090/chat?token=sesame'
import { Core } from 'xps'
import { http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8090)
const upstream = process.argv[3] ?? '127.0.0.1:3000'
const users = new Map([['sesame', 'ali']])

const protocol = http({
  // Nothing but WebSockets is upgraded, and 1,000 of them are enough. A client can send no `x-user` of its own.
  routes: [{ path: '/chat', upstream, upgrade: ['websocket'], protect: ['x-user'] }],
  maxTunnels: 1_000,
  hooks: {
    afterRouting(transaction) {
      const { request, upgrade } = transaction
      if (upgrade?.toLowerCase() !== 'websocket') return transaction.reply(426)
      const url = new URL(request.target, 'http://localhost')
      const user = users.get(url.searchParams.get('token') ?? request.headers.get('x-token') ?? '')
      if (user === undefined) return transaction.reply({ status: 401, body: 'Who are you?\n' })
      // The server behind need not see the token, nor does its log.
      url.searchParams.delete('token')
      request.target = url.pathname + url.search
      request.headers.set('x-user', user)
    },
    transactionClose({ status, bytes, bytesIn }) {
      console.log(status === 101 ? `a tunnel: ${bytesIn} B in, ${bytes} B out` : `refused: ${status}`)
    },
  },
})

const core = new Core()
const { address } = await core.listen({ host: '127.0.0.1', port, protocol })
console.log(`guarding ws://${address}/chat`)

// Tunnels are waited for, but not for ever.
const stop = () => core.close({ deadline: 5_000 })
process.once('SIGINT', stop).once('SIGTERM', stop)
