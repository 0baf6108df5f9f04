// Load over HTTP: clients that send their next request when the answer is whole, and check every byte of it.
import { matches } from '../lib/bodies.js'
import { openClients as openStaying } from '../lib/clients.js'
import { request } from './messages.js'

const headEnd = Buffer.from('\r\n\r\n')
const nothing = Buffer.alloc(0)

/** Opens so many clients; they stay until they are closed. */
export async function openClients(port, count, options) {
  const clients = await openStaying(port, count, newReader, options)
  return { ...clients, request: (expected, total) => clients.request(request(expected.target), expected, total) }
}

function newReader() {
  /** What has come of a head that is not whole. */
  let part = nothing
  /** Bytes of the body that have come; fewer than none while the head is not whole. */
  let got = -1
  return (slab, length, expected) => {
    const start = got < 0 ? readHead(slab, length, expected) : 0
    if (got < 0) return false
    if (!matches(slab, start, length, expected, got)) throw new Error('a wrong body')
    got += length - start
    if (got < expected.length) return false
    got = -1
    return true
  }

  /** Returns where the body starts in what has just been read. */
  function readHead(slab, length, expected) {
    const bytes = part.length === 0 ? slab.subarray(0, length) : Buffer.concat([part, slab.subarray(0, length)])
    const at = bytes.indexOf(headEnd)
    if (at === -1) {
      part = Buffer.from(bytes)
      return length
    }
    const wrong = complaint(bytes.latin1Slice(0, at + 2), expected)
    if (wrong !== undefined) throw new Error(wrong)
    part = nothing
    got = 0
    return length - (bytes.length - at - headEnd.length)
  }
}

/** What is wrong with a head, if anything is. */
function complaint(head, { length }) {
  if (!head.startsWith('HTTP/1.1 200 ')) return `the answer is '${head.slice(0, head.indexOf('\r\n'))}'`
  const given = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]
  if (given !== String(length)) return `the answer has ${given ?? 'no'} content-length, not ${length}`
  return undefined
}
