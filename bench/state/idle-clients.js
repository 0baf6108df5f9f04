// Clients that each have a session of their own open, and do nothing. node bench/state/idle-clients.js PORT COUNT
import { connect } from 'node:net'

const [port, count] = process.argv.slice(2).map(Number)

function open() {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('error', () => process.exit(1))
    socket.on('close', () => process.exit(1))
    socket.once('data', resolve)
    socket.write('new\r\n')
  })
}

for (let made = 0; made < count; made += 100) {
  await Promise.all(Array.from({ length: Math.min(100, count - made) }, open))
}
process.send('opened')
