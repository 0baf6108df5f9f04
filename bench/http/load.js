// Load over HTTP: clients that send their next request when the answer is whole, and check every byte of it.
import { connect } from 'node:net'
import { matches, request } from './messages.js'

const timeout = 60_000
const headEnd = Buffer.from('\r\n\r\n')
const nothing = Buffer.alloc(0)

/** Opens so many clients; they stay until they are closed. */
export async function openClients(port, count) {
  const clients = []
  const opening = 50
  while (clients.length < count) {
    const some = Array.from({ length: Math.min(opening, count - clients.length) }, () => openClient(port))
    clients.push(...(await Promise.all(some)))
  }
  return {
    /** Makes so many requests, one at a time per client, and resolves when each was answered whole, as expected. */
    async request(expected, total) {
      let left = total
      const job = { question: request(expected.target), expected, next: () => left-- > 0 }
      await Promise.all(clients.map((client) => client.work(job)))
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()))
    },
  }
}

function openClient(port) {
  const slab = Buffer.allocUnsafeSlow(64 * 1024)
  let job
  let end
  /** What has come of a head that is not whole. */
  let part = nothing
  /** Bytes of the body that have come; fewer than none while the head is not whole. */
  let got = -1
  return new Promise((opened, refused) => {
    const fail = (error) => {
      refused(error)
      end?.reject(error)
    }
    const socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: slab,
        callback(length) {
          const start = got < 0 ? readHead(length) : 0
          if (got < 0) return true
          const { expected } = job
          if (!matches(slab, start, length, expected, got)) fail(new Error('a wrong body'))
          got += length - start
          if (got < expected.length) return true
          got = -1
          if (job.next()) socket.write(job.question)
          else end.resolve()
          return true
        },
      },
    })
    socket.setTimeout(timeout, () => fail(new Error('no answer')))
    socket.once('error', fail)
    socket.once('close', () => fail(new Error('closed before the answer was whole')))
    socket.once('connect', () => opened({ work, close }))

    /** Returns where the body starts in what has just been read. */
    function readHead(length) {
      const bytes = part.length === 0 ? slab.subarray(0, length) : Buffer.concat([part, slab.subarray(0, length)])
      const at = bytes.indexOf(headEnd)
      if (at === -1) {
        part = Buffer.from(bytes)
        return length
      }
      const wrong = complaint(bytes.latin1Slice(0, at + 2), job.expected)
      if (wrong !== undefined) fail(new Error(wrong))
      const bodySize = bytes.length - at - headEnd.length
      part = nothing
      got = 0
      return length - bodySize
    }

    function work(given) {
      return new Promise((resolve, reject) => {
        job = given
        end = { resolve, reject }
        if (job.next()) socket.write(job.question)
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

/** What is wrong with a head, if anything is. */
function complaint(head, { length }) {
  if (!head.startsWith('HTTP/1.1 200 ')) return `the answer is '${head.slice(0, head.indexOf('\r\n'))}'`
  const given = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]
  if (given !== String(length)) return `the answer has ${given ?? 'no'} content-length, not ${length}`
  return undefined
}
