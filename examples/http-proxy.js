// @ts-check
// For those who come from http-proxy: the same program, with another import. It adds a field on the way there and one on
// the way back, answers errors itself, and prints who has left early.
//
// Run:     node examples/http-proxy.js 8000 http://127.0.0.1:3000
// Try it:  curl -i http://127.0.0.1:8000/hello
import { createServer } from 'node:http'
import { createProxyServer } from 'xps/http-proxy'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8000)
const target = process.argv[3] ?? 'http://127.0.0.1:3000'

const proxy = createProxyServer({ target, xfwd: true })

proxy.on('proxyReq', (proxyReq) => {
  proxyReq.setHeader('X-From', 'proxy')
})
proxy.on('proxyRes', (proxyRes) => {
  proxyRes.headers['x-by'] = 'xps'
})
proxy.on('error', (error, req, res) => {
  console.log(`${req?.url}: ${error.code}`)
  // Once the head was sent, there is nothing left to answer.
  if (res && 'headersSent' in res && !res.headersSent) res.writeHead(error.statusCode).end('try again later\n')
})
proxy.on('econnreset', (_error, req) => console.log(`${req.url}: the client has left`))

const server = createServer((req, res) => void proxy.web(req, res))
server.listen(port, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object') console.log(`http://127.0.0.1:${address?.port} is ${target}`)
})

const stop = () => {
  server.close()
  server.closeIdleConnections()
  return proxy.close()
}
process.once('SIGINT', stop).once('SIGTERM', stop)
