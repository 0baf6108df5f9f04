// Clients that do nothing but note how old a tick is when it comes. node bench/soap/watchers.js PORT COUNT
import { connect } from 'node:net'
import { action, namespace } from './order.js'

const [port, count] = process.argv.slice(2).map(Number)
const own = 'urn:xps:soap:session'
const type = Buffer.from('http://www.w3.org/2003/05/soap-envelope')
let ages = []

/** A message in one record of DIME. */
function frame(text) {
  const data = Buffer.from(text)
  const header = Buffer.from([0x0e, 0x20, 0, 0, 0, 0, 0, type.length, 0, 0, 0, 0])
  header.writeUInt32BE(data.length, 8)
  const rest = Buffer.alloc(((data.length + 3) & ~3) - data.length)
  return Buffer.concat([header, type, Buffer.alloc(1), data, rest])
}

function login(id) {
  const body = `<Login xmlns="${own}"><Session>${id}</Session><Username>a</Username><Password>b</Password></Login>`
  return frame(
    `<s:Envelope xmlns:s="${type}" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header><a:Action>${own}/login</a:Action></s:Header><s:Body>${body}</s:Body></s:Envelope>`,
  )
}

async function open(id) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => process.exit(1))
  socket.write(login(id))
  await new Promise((resolve) => socket.once('data', resolve))
  socket.on('data', (chunk) => {
    const now = Number(process.hrtime.bigint() / 1_000n)
    for (let at = chunk.indexOf('<at>'); at >= 0; at = chunk.indexOf('<at>', at + 4)) {
      ages.push((now - Number(chunk.latin1Slice(at + 4, chunk.indexOf('<', at + 4)))) / 1_000)
    }
  })
}

process.on('message', (asked) => {
  if (asked === 'begin') ages = []
  process.send(asked === 'begin' ? 'begun' : ages)
})
for (let made = 0; made < count; made += 100) {
  await Promise.all(
    Array.from({ length: Math.min(100, count - made) }, (_, index) => open(`${process.pid}-${made + index}`)),
  )
}
process.send(`${action} ${namespace}`)
