// Answers each connection's first bytes after a while, and ends. node bench/admission/slow-upstream.js PORT MILLISECONDS
import { createServer } from 'node:net'

const [port, delay] = process.argv.slice(2).map(Number)
const answer = Buffer.alloc(130, 'a')

createServer({ noDelay: true }, (socket) => {
  socket.once('data', () => setTimeout(() => socket.end(answer), delay))
  socket.on('error', () => {})
}).listen(port, '127.0.0.1', 4096)
