// The upstream of the WebSocket benchmark: sends each message back, whole. node bench/http/websocket-upstream.js PORT
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (socket) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }))
  socket.on('error', () => {})
})
server.listen(Number(process.argv[2]), '127.0.0.1', 4096)
