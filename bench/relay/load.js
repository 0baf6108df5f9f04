// Load on a relay: clients that send their next request when the answer is whole, and check every byte of it.
import { connect } from 'node:net'
import { answers, request } from './answers.js'

const timeout = 60_000

/** Opens so many clients; they stay until they are closed. */
export async function openClients(port, count) {
  const clients = []
  const opening = 50
  while (clients.length < count) {
    const some = Array.from({ length: Math.min(opening, count - clients.length) }, () => openClient(port))
    clients.push(...(await Promise.all(some)))
  }
  return {
    /** Makes so many requests, one at a time per client, and resolves when each was answered whole. */
    async request(kind, total) {
      let left = total
      const next = () => left-- > 0
      await Promise.all(clients.map((client) => client.work(kind, next)))
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()))
    },
  }
}

function openClient(port) {
  const slab = Buffer.allocUnsafeSlow(64 * 1024)
  let job
  return new Promise((opened, refused) => {
    const fail = (error) => {
      refused(error)
      job?.reject(error)
    }
    const socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: slab,
        callback(length) {
          const { answer, next, question, resolve } = job
          if (answer.compare(slab, 0, length, job.got, job.got + length) !== 0) fail(new Error('a wrong answer'))
          job.got += length
          if (job.got < answer.length) return true
          job.got = 0
          if (next()) socket.write(question)
          else resolve()
          return true
        },
      },
    })
    socket.setTimeout(timeout, () => fail(new Error('no answer')))
    socket.once('error', fail)
    socket.once('close', () => fail(new Error('closed before the answer was whole')))
    socket.once('connect', () => opened({ work, close }))

    function work(kind, next) {
      return new Promise((resolve, reject) => {
        job = { answer: answers[kind], question: request(kind), got: 0, next, resolve, reject }
        if (next()) socket.write(job.question)
        else resolve()
      })
    }

    function close() {
      return new Promise((resolve) => {
        socket.once('close', resolve)
        socket.end()
        socket.resume()
      })
    }
  })
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
