// The upstream of the relay benchmarks: answers requests. node bench/relay/upstream.js PORT
import { createServer } from 'node:net'
import { answers, requestSize } from './answers.js'

createServer({ noDelay: true }, (socket) => {
  let received = 0
  socket.on('data', (chunk) => {
    const answer = answers[String.fromCharCode(chunk[0])]
    received += chunk.length
    for (; received >= requestSize; received -= requestSize) socket.write(answer)
  })
  socket.on('error', () => {})
}).listen(Number(process.argv[2]), '127.0.0.1', 4096)
