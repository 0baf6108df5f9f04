// node bench/http/peers/send.js PORT FOLDER
import { createServer } from 'node:http'
import send from 'send'

const [port, root] = process.argv.slice(2)
const server = createServer((request, response) => send(request, request.url, { root }).pipe(response))
server.listen(Number(port), '127.0.0.1', 4096)
