// Clients that stay, and send their next request when the answer is whole.
import { connect } from 'node:net'
import { connect as connectSecurely } from 'node:tls'

const timeout = 60_000
const openAtOnce = 50

/**
 * Opens so many clients; they stay until they are closed. `newReader` makes, for each, what reads its answers: it is
 * given what was read (`slab`, `length`) and what is expected, returns whether the answer is whole, and throws if it is
 * wrong. With `secure` they speak TLS, and trust whatever certificate they are shown.
 */
export async function openClients(port, count, newReader, { secure = false } = {}) {
  const clients = []
  while (clients.length < count) {
    const some = Math.min(openAtOnce, count - clients.length)
    clients.push(...(await Promise.all(Array.from({ length: some }, () => openClient(port, newReader(), secure)))))
  }
  return {
    /** Makes so many requests, one at a time per client, and resolves when each was answered whole, as expected. */
    async request(question, expected, total) {
      let left = total
      const next = () => left-- > 0
      await Promise.all(clients.map((client) => client.work(question, expected, next)))
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()))
    },
  }
}

function openClient(port, isWhole, secure) {
  const slab = Buffer.allocUnsafeSlow(64 * 1024)
  let job
  return new Promise((opened, refused) => {
    const fail = (error) => {
      refused(error)
      job?.reject(error)
    }
    const socket = (secure ? connectSecurely : connect)({
      port,
      host: '127.0.0.1',
      noDelay: true,
      rejectUnauthorized: false,
      onread: {
        buffer: slab,
        callback(length) {
          try {
            if (isWhole(slab, length, job.expected)) proceed()
          } catch (error) {
            fail(error)
          }
          return true
        },
      },
    })
    socket.setTimeout(timeout, () => fail(new Error('no answer')))
    socket.once('error', fail)
    socket.once('close', () => fail(new Error('closed before the answer was whole')))
    socket.once(secure ? 'secureConnect' : 'connect', () => opened({ work, close }))

    function work(question, expected, next) {
      return new Promise((resolve, reject) => {
        job = { question, expected, next, resolve, reject }
        proceed()
      })
    }

    function proceed() {
      if (job.next()) socket.write(job.question)
      else job.resolve()
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
