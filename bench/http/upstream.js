// The upstream of the HTTP benchmarks: cheap, and it answers what is pipelined. node bench/http/upstream.js PORT
import { createServer } from 'node:net'
import { answers } from './messages.js'

const method = 'GET '
const headEnd = Buffer.from('\r\n\r\n')
/** By the letter after the slash. */
const responses = new Map(Object.values(answers).map((answer) => [answer.target.charCodeAt(1), response(answer)]))

createServer({ noDelay: true }, (socket) => {
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = bytes.indexOf(headEnd); end !== -1; end = bytes.indexOf(headEnd, start)) {
      socket.write(responses.get(bytes[start + method.length + 1]))
      start = end + headEnd.length
    }
    rest = bytes.subarray(start)
  })
  socket.on('error', () => {})
}).listen(Number(process.argv[2]), '127.0.0.1', 4096)

/** With the fields that a server in Node.js sends. */
function response({ block }) {
  const head = [
    'HTTP/1.1 200 OK',
    'Content-Type: application/octet-stream',
    `Content-Length: ${block.length}`,
    'Date: Sat, 21 Nov 2026 12:00:00 GMT',
    'Connection: keep-alive',
    'Keep-Alive: timeout=60',
    '',
    '',
  ]
  return Buffer.concat([Buffer.from(head.join('\r\n'), 'latin1'), block])
}
