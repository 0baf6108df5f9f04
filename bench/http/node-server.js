// The yardstick of memory: a server of Node's own that answers alike. node bench/http/node-server.js PORT
import { createServer } from 'node:http'
import { answers } from './messages.js'

const { block } = answers.small
const server = createServer((_, response) => {
  response.setHeader('content-length', block.length)
  response.end(block)
})
server.keepAliveTimeout = 600_000
server.listen(Number(process.argv[2]), '127.0.0.1', 4096)
