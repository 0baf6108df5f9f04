// Load on a relay: clients that send their next request when the answer is whole, and check every byte of it.
import { connect } from 'node:net'
import { openClients as openStaying } from '../lib/clients.js'
import { answers, request } from './answers.js'

const timeout = 60_000

/** Opens so many clients; they stay until they are closed. */
export async function openClients(port, count, options) {
  const clients = await openStaying(port, count, newReader, options)
  return { ...clients, request: (kind, total) => clients.request(request(kind), answers[kind], total) }
}

function newReader() {
  let got = 0
  return (slab, length, answer) => {
    if (got + length > answer.length || answer.compare(slab, 0, length, got, got + length) !== 0) {
      throw new Error('a wrong answer')
    }
    got = (got + length) % answer.length
    return got === 0
  }
}

/** Opens, uses and closes so many connections, `parallel` at a time. */
export async function visits(port, { parallel, count }) {
  let left = count
  const worker = async () => {
    while (left-- > 0) await visit(port)
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}

function visit(port) {
  return new Promise((resolve, reject) => {
    const chunks = []
    let got = 0
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => socket.write(request('s')))
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      got += chunk.length
      if (got === answers.s.length) socket.end()
    })
    socket.setTimeout(timeout, () => reject(new Error('no answer')))
    socket.once('error', reject)
    socket.once('close', () =>
      answers.s.equals(Buffer.concat(chunks)) ? resolve() : reject(new Error('a wrong answer')),
    )
  })
}
